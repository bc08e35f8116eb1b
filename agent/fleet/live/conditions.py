"""Finds agents that share a name, and agents that have two names, by the agent IDs in their status messages. Pure."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from agent.core import text
from agent.fleet.live.moments import milliseconds
from agent.fleet.live.row import StandingAlert

ALIVE_FOR = timedelta(minutes=3)  # after a status: two more would have come in this time
SAME_NAME = "same-name"
SAME_AGENT = "same-agent"
ALERTS = frozenset({SAME_NAME, SAME_AGENT})
MAX_RIVALS = 4  # of one key that are told apart; whoever may publish as a host can make up any number
_SHOWN = 8  # characters of an agent ID


@dataclass(slots=True)
class _Rivals:
    """Values that were reported for one key within ALIVE_FOR."""

    seen: dict[str, datetime] = field(default_factory=dict)
    since: datetime | None = None  # since when two of them are reported in turns


class Turns:
    """Keys for which two values are reported in turns, so that both reporters are alive.

    A value that replaces another one for good is a restart or a new name, and is not found.
    """

    def __init__(self) -> None:
        self._latest: dict[str, str] = {}
        self._rivals: dict[str, _Rivals] = {}

    def saw(self, key: str, value: str, at: datetime) -> None:
        before = self._latest.get(key)
        if before is None:
            self._latest[key] = value
        elif before != value or key in self._rivals:
            self._latest[key] = value
            self._compare(key, before, value, at)

    def latest(self, key: str) -> str | None:
        return self._latest.get(key)

    def forget(self, key: str) -> None:
        """The key ended: what is reported for it next replaces what was."""
        self._latest.pop(key, None)
        self._rivals.pop(key, None)

    def standing(self, now: datetime) -> dict[str, tuple[datetime, list[str]]]:
        """By key: since when, and the values, for each with two values that are alive now."""
        for key, rivals in list(self._rivals.items()):
            rivals.seen = {value: at for value, at in rivals.seen.items() if now - at <= ALIVE_FOR}
            if len(rivals.seen) < 2:
                del self._rivals[key]
        return {
            key: (rivals.since, sorted(rivals.seen)) for key, rivals in self._rivals.items() if rivals.since is not None
        }

    def _compare(self, key: str, before: str, value: str, at: datetime) -> None:
        rivals = self._rivals.setdefault(key, _Rivals({before: at}))
        if before != value and value in rivals.seen and rivals.since is None:
            rivals.since = at
        if value in rivals.seen or len(rivals.seen) < MAX_RIVALS:
            rivals.seen[value] = at


class Identities:
    """Which agent reports as which host."""

    def __init__(self) -> None:
        self._agents = Turns()  # host -> agent ID
        self._names = Turns()  # agent ID -> host

    def saw(self, host: str, agent_id: str, at: datetime) -> None:
        """A live status, not a retained one: the agent runs now."""
        if not agent_id:
            return
        before = self._agents.latest(host)
        if before is not None and before != agent_id:
            self._names.forget(before)
        self._agents.saw(host, agent_id, at)
        self._names.saw(agent_id, host, at)

    def ended(self, agent_id: str) -> None:
        """The agent ended, or the broker lost it: it may come back under another name."""
        self._names.forget(agent_id)

    def forget(self, host: str) -> None:
        """The host is no longer listed."""
        agent_id = self._agents.latest(host)
        self._agents.forget(host)
        if agent_id is not None:
            self._names.forget(agent_id)

    def alerts(self, now: datetime) -> list[StandingAlert]:
        """What is wrong now, as alerts of the hosts that it concerns."""
        shared = [_same_name(host, *found) for host, found in self._agents.standing(now).items()]
        doubled = [alert for found in self._names.standing(now).values() for alert in _same_agent(*found)]
        return shared + doubled


def _same_name(host: str, since: datetime, agents: list[str]) -> StandingAlert:
    ids = ", ".join(text.one_line(agent[:_SHOWN]) for agent in agents)
    message = (
        f"Two agents call themselves {host} (ids {ids}). "
        "One is probably a clone of the other: set `agent.host` to another name on one of the machines."
    )
    return StandingAlert(host=host, id=SAME_NAME, severity="warning", message=message, since=milliseconds(since))


def _same_agent(since: datetime, hosts: list[str]) -> list[StandingAlert]:
    message = (
        f"The hosts {' and '.join(hosts)} report with the id of one agent. One is probably a copy of the other's "
        "state folder: stop the agent on one of them, and start it with an empty `agent.state_dir`."
    )
    return [
        StandingAlert(host=host, id=SAME_AGENT, severity="warning", message=message, since=milliseconds(since))
        for host in hosts
    ]
