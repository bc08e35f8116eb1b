"""Which agents share a name, and which have two."""

from agent.fleet.collector.batch import Committed
from agent.fleet.live.conditions import Identities
from agent.fleet.live.live_fleet import LiveFleet
from agent.fleet.live.row import StandingAlert
from tests.support import live as make
from tests.support.live import batch, fleet
from tests.support.times import MINUTE, SECOND, START


def reports(made: LiveFleet, *seen: tuple[str, str]) -> None:
    """Status messages of (host, agent ID), ten seconds apart."""
    for number, (host, agent_id) in enumerate(seen):
        at = START + number * 10 * SECOND
        made.apply(batch(make.status(host, at=at, agent_id=agent_id), at=at), Committed())
        made.tick(at)


def standing(made: LiveFleet) -> list[tuple[str, str]]:
    return [(alert.host, alert.id) for alert in made.alerts()]


def test_two_agents_that_report_in_turns_as_one_host_share_its_name() -> None:
    made = fleet()
    reports(made, ("gpu-07", "1f3c" * 8), ("gpu-07", "9b20" * 8))
    assert made.alerts() == []
    reports(made, ("gpu-07", "1f3c" * 8))
    assert made.alerts() == [
        StandingAlert(
            host="gpu-07",
            id="same-name",
            severity="warning",
            message="Two agents call themselves gpu-07 (ids 1f3c1f3c, 9b209b20). One is probably a clone of the other: "
            "set `agent.host` to another name on one of the machines.",
            since=int(START.timestamp() * 1000),
        )
    ]
    assert made.row("gpu-07").warnings == 1  # type: ignore[union-attr]


def test_an_agent_that_starts_with_an_empty_state_replaces_the_one_before() -> None:
    made = fleet()
    reports(made, ("gpu-07", "old"), ("gpu-07", "old"), *[("gpu-07", "new")] * 60)
    assert made.alerts() == []


def test_a_shared_name_ends_when_one_of_the_agents_is_silent() -> None:
    made = fleet()
    reports(made, ("gpu-07", "a"), ("gpu-07", "b"), ("gpu-07", "a"))
    assert standing(made) == [("gpu-07", "same-name")]
    for minute in range(1, 5):
        at = START + minute * MINUTE
        made.apply(batch(make.status(at=at, agent_id="a"), at=at), Committed())
        made.tick(at)
    assert (standing(made), made.row("gpu-07").warnings) == ([], 0)  # type: ignore[union-attr]


def test_one_agent_that_reports_in_turns_as_two_hosts_has_two_names() -> None:
    made = fleet()
    reports(made, ("gpu-07", "a"), ("gpu-08", "a"), ("gpu-07", "a"))
    assert standing(made) == [("gpu-07", "same-agent"), ("gpu-08", "same-agent")]
    assert "gpu-07 and gpu-08" in made.alerts()[0].message


def test_an_agent_that_says_goodbye_may_come_back_under_another_name() -> None:
    made = fleet()
    reports(made, ("old", "a"))
    made.apply(batch(make.status("old", state="offline", agent_id="a")), Committed())
    reports(made, ("new", "a"), ("new", "a"))
    assert made.alerts() == []


def test_retained_messages_do_not_show_that_an_agent_is_alive() -> None:
    made = fleet(*(make.status(agent_id=agent, retain=True) for agent in "abab"))
    assert made.alerts() == []


def test_an_alert_that_the_agent_raised_itself_stands_alone() -> None:
    made = fleet(make.alert("two-agents"))
    reports(made, ("gpu-07", "a"), ("gpu-07", "b"), ("gpu-07", "a"))
    assert standing(made) == [("gpu-07", "two-agents")]


def test_a_host_that_is_forgotten_takes_its_conditions_along() -> None:
    made = fleet()
    reports(made, ("gpu-07", "a"), ("gpu-07", "b"), ("gpu-07", "a"))
    made.apply(batch(*make.cleared(), make.no_alert()), Committed())
    made.tick(START)
    assert (made.rows(), made.alerts()) == ([], [])


def test_made_up_agent_ids_do_not_fill_the_memory() -> None:
    identities = Identities()
    for number in range(2000):
        identities.saw("gpu-07", f"agent {number}", START + number * SECOND / 100)
    names = identities._names._latest
    assert (len(names), len(identities._agents._rivals["gpu-07"].seen)) == (1, 4)
