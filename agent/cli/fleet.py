"""`torchkeeper fleet`: every host that reports to the broker, from any machine that reaches it."""

import asyncio
import sys
from collections.abc import Coroutine
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from agent.adapters.clock import SystemClock
from agent.cli import common
from agent.cli.help import Command, Group
from agent.config import loading, sections
from agent.core import units

if TYPE_CHECKING:  # slow to import, so inside the commands otherwise: `torchkeeper --help` needs none of it
    from collections.abc import Collection, Sequence

    from agent.fleet.terminal import Render
    from agent.fleet.view import Detail, FleetView, Host

T = TypeVar("T")

ANSWER_TIMEOUT = 60.0  # seconds; the broker sends the retained messages of ten thousand hosts between two answers

app = typer.Typer(
    cls=Group,
    help="The fleet in the terminal: every host that reports to the broker.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

WatchOption = Annotated[bool, typer.Option("--watch", "-w", help="Show it until Ctrl-C, as it changes.")]
SinceOption = Annotated[str, typer.Option("--since", metavar="DURATION", help="How far back, like 7d.")]
HostOption = Annotated[str | None, typer.Option("--host", metavar="NAME", help="Only this host.", show_default=False)]


TtlOption = Annotated[str, typer.Option("--ttl", metavar="DURATION", help="The TTL to try, like 7d.")]
MonitorOption = Annotated[
    str,
    typer.Option(
        "--monitor", metavar="URL", help="The monitor to ask.", show_default="monitor.public_url, or monitor.listen"
    ),
]
TokenOption = Annotated[
    Path | None,
    typer.Option(
        "--token-file",
        metavar="FILE",
        help="A file with the token that the monitor asks for.",
        show_default="monitor.auth.viewer_token_file",
    ),
]


@app.command(cls=Command)
def status(file: common.ConfigOption = None, as_json: common.JsonOption = False, watch: WatchOption = False) -> None:
    """Each host, the worst first: its alerts, whether it is there, its disk, what goes next; then the whole fleet."""
    from agent.fleet import json_documents, status_view, terminal

    clock = SystemClock()
    source = _Source(file, watch, as_json, details=())
    if watch:
        source.watch(lambda fleet, height: status_view.status_view(fleet, clock.now(), height))
        return
    fleet = source.snapshot()
    if as_json:
        common.print_json(json_documents.status(fleet, clock.now()))
    else:
        terminal.make_console().print(status_view.status_view(fleet, clock.now()))


@app.command(cls=Command)
def decisions(
    file: common.ConfigOption = None,
    as_json: common.JsonOption = False,
    watch: WatchOption = False,
    since: SinceOption = "7d",
    host: HostOption = None,
) -> None:
    """The last evictions decided on each host, and what became of them."""
    from agent.fleet import json_documents, terminal, view

    clock, span = SystemClock(), common.parse_duration(since, "--since") or timedelta()
    source = _Source(file, watch, as_json, details=(view.DECISIONS,))
    if watch:
        source.watch(
            lambda fleet, height: terminal.decisions_view(
                fleet.decisions(clock.now() - span, host), clock.now(), height
            )
        )
        return
    lines = source.snapshot().decisions(clock.now() - span, host)
    if as_json:
        common.print_json(json_documents.decisions(lines))
    else:
        terminal.make_console().print(terminal.decisions_view(lines, clock.now()))


@app.command(cls=Command)
def images(file: common.ConfigOption = None, as_json: common.JsonOption = False, watch: WatchOption = False) -> None:
    """The PyTorch images of the fleet: how many hosts have each, when it was last used, when it comes due."""
    from agent.fleet import json_documents, terminal, view

    clock = SystemClock()
    source = _Source(file, watch, as_json, details=(view.IMAGES,))
    if watch:
        source.watch(lambda fleet, height: terminal.images_view(fleet, clock.now(), height))
        return
    fleet = source.snapshot()
    if as_json:
        common.print_json(json_documents.images(fleet, clock.now()))
    else:
        terminal.make_console().print(terminal.images_view(fleet, clock.now()))


@app.command(name="what-if", cls=Command)
def what_if(
    ttl: TtlOption,
    file: common.ConfigOption = None,
    as_json: common.JsonOption = False,
    monitor: MonitorOption = "",
    token_file: TokenOption = None,
) -> None:
    """What another TTL would evict on the whole fleet, by the history of the monitor. Changes nothing."""
    from agent.fleet import terminal, what_if_view
    from agent.fleet.web import client

    shortened = units.duration_text(common.parse_duration(ttl, "--ttl") or timedelta())
    settings = loading.load(file).monitor
    url = monitor or monitor_url(settings)
    if not url.startswith(("http://", "https://")):
        raise common.UsageError(f"--monitor: {url!r} is not an address like http://127.0.0.1:9478")
    try:
        answer = asyncio.run(client.what_if(url, shortened, _token(token_file, settings)))
    except client.MonitorUnavailable as error:
        raise common.CommandError(str(error)) from None
    if as_json:
        common.print_json(answer.model_dump(mode="json"))
    else:
        terminal.make_console().print(what_if_view.what_if_view(answer, shortened))


def monitor_url(settings: sections.Monitor) -> str:
    """Where the monitor of this configuration answers; on this machine if it listens on all addresses."""
    host, port = settings.address
    here = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - nothing is bound to it
    return settings.public_url or f"http://{f'[{here}]' if ':' in here else here}:{port}"


def _token(file: Path | None, settings: sections.Monitor) -> str:
    """The token for the monitor; "" if no file has one. Raises UsageError where the file cannot be read."""
    path = file or (Path(settings.auth.viewer_token_file) if settings.auth.viewer_token_file else None)
    if path is None:
        return ""
    try:
        return path.read_text().strip()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is not UTF-8"
        raise common.UsageError(f"--token-file: {path}: {reason}") from None


NOTHING_RETAINED = (
    "{broker}: the broker gave {user} no retained message below {prefix}/v1/hosts. No agent has reported to it (see"
    " `torchkeeper check` on a host, and mqtt.prefix here and there), or this user may not read there (it needs `topic"
    " read {prefix}/v1/hosts/#`), or the broker gives none for wildcards, as RabbitMQ: `torchkeeper fleet status"
    " --watch` then shows each host within a minute"
)
ONLY_ITS_OWN = (
    "{broker}: the broker gave {user} nothing but the status of its own host, so it may not read the fleet. Set"
    " mqtt.username to a user who may: one with `topic read {prefix}/v1/hosts/#`"
)


MANY = 300  # hosts; the retained messages of fewer fit into the queue that mosquitto has for a reader by default


def drop_notes(hosts: "Sequence[Host]") -> list[str]:
    """A note if a large fleet misses inventories, which agents publish right after their info."""
    missing = sum(host.row.mode is not None and host.summary.images is None for host in hosts)
    if len(hosts) <= MANY or missing * 100 <= len(hosts):
        return []
    return [
        f"the inventories of {missing:,} of {len(hosts):,} hosts did not arrive: the broker drops messages for a reader"
        " that has many to receive; in mosquitto's configuration set max_queued_messages 200000"
    ]


class _Source:
    """The broker of the configuration. Raises ConfigError and UsageError."""

    def __init__(self, file: Path | None, watch: bool, as_json: bool, details: "Collection[Detail]") -> None:
        """`details`: what the command shows of each inventory beside its summary."""
        from agent.adapters.mqtt import broker

        if watch and as_json:
            raise common.UsageError("--watch: does not go together with --json; leave one of them out")
        if watch and not sys.stdout.isatty():
            raise common.UsageError("--watch: needs a terminal; leave it out, or use --json")
        self._mqtt = loading.load(file).mqtt
        self._details = details
        self._connect = broker.viewer_connector(self._mqtt, ANSWER_TIMEOUT)

    def snapshot(self) -> "FleetView":
        """What is retained. Raises CommandError where nothing is: that does not mean that the fleet is empty."""
        from agent.fleet import feed

        view = _run(feed.snapshot(self._connect, self._mqtt.prefix, SystemClock(), details=self._details))
        if not view.retained:
            raise common.CommandError(self._explain(NOTHING_RETAINED))
        if self._mqtt.username and view.shows_only_status_of(self._mqtt.username):
            raise common.CommandError(self._explain(ONLY_ITS_OWN))
        common.print_notes(drop_notes(view.hosts()))
        return view

    def _explain(self, sentence: str) -> str:
        user = f"the user {self._mqtt.username!r}" if self._mqtt.username else "a client without a user name"
        return sentence.format(broker=" ".join(self._mqtt.urls), prefix=self._mqtt.prefix, user=user)

    def watch(self, render: "Render") -> None:
        from agent.fleet import feed, terminal

        follower = feed.Feed(self._connect, self._mqtt.prefix, SystemClock(), details=self._details)
        with suppress(KeyboardInterrupt):  # the way out
            _run(terminal.watch(follower, render, terminal.make_console(), SystemClock()))


def _run(work: Coroutine[Any, Any, T]) -> T:
    """The result. Raises CommandError where the broker cannot be reached or refuses."""
    from agent.adapters.mqtt import broker

    try:
        return asyncio.run(work)
    except (broker.BrokerUnavailable, broker.SubscribeRefused) as error:
        raise common.CommandError(str(error)) from None
