"""`torchkeeper fleet`: every host that reports to the broker, from any machine that reaches it."""

import asyncio
import sys
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from agent.adapters.clock import SystemClock
from agent.cli import common
from agent.config import loading

if TYPE_CHECKING:  # slow to import, so inside the commands otherwise: `torchkeeper --help` needs none of it
    from collections.abc import Callable

    from rich.console import RenderableType

    from agent.fleet.view import FleetView

T = TypeVar("T")

app = typer.Typer(help="The fleet in the terminal: every host that reports to the broker.", no_args_is_help=True)

WatchOption = Annotated[bool, typer.Option("--watch", "-w", help="Go on showing it, as it changes.")]
SinceOption = Annotated[str, typer.Option("--since", metavar="DURATION", help="How far back.")]
HostOption = Annotated[str | None, typer.Option("--host", metavar="NAME", help="Only this host.", show_default=False)]


@app.command()
def status(file: common.ConfigOption = None, as_json: common.JsonOption = False, watch: WatchOption = False) -> None:
    """Each host: whether it is there, when it was last seen, its images, its disk."""
    from agent.fleet import terminal, view

    clock = SystemClock()
    source = _Source(file, watch, as_json)
    if watch:
        source.watch(lambda fleet: terminal.status_view(fleet, clock.now()))
        return
    fleet = source.snapshot()
    if as_json:
        common.print_json(view.status_document(fleet, clock.now()))
    else:
        terminal.make_console().print(terminal.status_view(fleet, clock.now()))


@app.command()
def decisions(
    file: common.ConfigOption = None,
    as_json: common.JsonOption = False,
    watch: WatchOption = False,
    since: SinceOption = "7d",
    host: HostOption = None,
) -> None:
    """The last evictions decided on each host, and what became of them."""
    from agent.fleet import terminal, view

    clock, span = SystemClock(), common.parse_duration(since, "--since") or timedelta()
    source = _Source(file, watch, as_json)
    if watch:
        source.watch(lambda fleet: terminal.decisions_view(fleet.decisions(clock.now() - span, host), clock.now()))
        return
    lines = source.snapshot().decisions(clock.now() - span, host)
    if as_json:
        common.print_json(view.decisions_document(lines))
    else:
        terminal.make_console().print(terminal.decisions_view(lines, clock.now()))


@app.command()
def images(file: common.ConfigOption = None, as_json: common.JsonOption = False) -> None:
    """The PyTorch images of the fleet: how many hosts have each, when it was last used, when it comes due."""
    from agent.fleet import terminal, view

    clock = SystemClock()
    fleet = _Source(file, False, as_json).snapshot()
    if as_json:
        common.print_json(view.images_document(fleet, clock.now()))
    else:
        terminal.make_console().print(terminal.images_view(fleet, clock.now()))


NOTHING_RETAINED = (
    "{broker}: the broker gave no retained message below {prefix}/v1/hosts. No agent has reported to it (see"
    " `torchkeeper check` on a host, and mqtt.prefix here and there), or this user may not read there, or the broker"
    " gives none for wildcards, as RabbitMQ: `torchkeeper fleet status --watch` then shows each host within a minute"
)


class _Source:
    """The broker of the configuration. Raises ConfigError and UsageError."""

    def __init__(self, file: Path | None, watch: bool, as_json: bool) -> None:
        from agent.adapters.mqtt import broker

        if watch and as_json:
            raise common.UsageError("--watch: does not go together with --json; leave one of them out")
        if watch and not sys.stdout.isatty():
            raise common.UsageError("--watch: needs a terminal; leave it out, or use --json")
        settings = loading.load(file)
        self._prefix = settings.mqtt.prefix
        self._urls = settings.mqtt.urls
        # no limit: this reader asks for the retained messages of the whole fleet
        addresses = broker.all_options(settings.mqtt, broker.viewer_client_id())
        self._connect = broker.connector(replace(options, largest_incoming=0) for options in addresses)

    def snapshot(self) -> "FleetView":
        """What is retained. Raises CommandError where nothing is: that does not mean that the fleet is empty."""
        from agent.fleet import feed

        view = _run(feed.snapshot(self._connect, self._prefix, SystemClock()))
        if not view.retained:
            raise common.CommandError(NOTHING_RETAINED.format(broker=" ".join(self._urls), prefix=self._prefix))
        return view

    def watch(self, render: "Callable[[FleetView], RenderableType]") -> None:
        from agent.fleet import feed, terminal

        follower = feed.Feed(self._connect, self._prefix, SystemClock())
        with suppress(KeyboardInterrupt):  # the way out
            _run(terminal.watch(follower, render, terminal.make_console(), SystemClock()))


def _run(work: Coroutine[Any, Any, T]) -> T:
    """The result. Raises CommandError where the broker cannot be reached or refuses."""
    from agent.adapters.mqtt import broker

    try:
        return asyncio.run(work)
    except (broker.BrokerUnavailable, broker.SubscribeRefused) as error:
        raise common.CommandError(str(error)) from None
