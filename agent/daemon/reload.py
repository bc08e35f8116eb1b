"""Reads the configuration again on SIGHUP and after its file changed, while the agent runs.

Settings that cannot be read change nothing: the agent continues with those that it read before. Nothing of this is
stored, so after a crash the agent starts from the file alone; the policy's own history makes `policy.change_grace`
apply there, too.
"""

import asyncio
from collections.abc import Callable

import structlog

from agent import aio
from agent.adapters.clock import Clock
from agent.config import changes
from agent.config.settings import ConfigError, Settings
from agent.config.source import SettingsSource
from agent.core.protocol.alerts import AlertId
from agent.daemon.in_force import SettingsInForce
from agent.reporting.host_report import HostReport

LOOK_EVERY = 2.0  # seconds between looks at the file

log = structlog.get_logger()


class Reloader:
    """Keeps the settings in force in step with their source."""

    def __init__(
        self,
        source: SettingsSource,
        in_force: SettingsInForce,
        apply: Callable[[Settings], None],
        host_report: HostReport,
        clock: Clock,
    ) -> None:
        """`apply`: gives new settings to the parts of the agent that use them."""
        self._source = source
        self._in_force = in_force
        self._apply = apply
        self._host_report = host_report
        self._clock = clock
        self._requested = asyncio.Event()
        self._waiting: tuple[str, ...] = ()  # the keys that wait for a restart
        self.on_request: list[Callable[[], None]] = []  # what else happens on SIGHUP
        self.last_successful = True  # whether the settings could be read the last time

    def request(self) -> None:
        """Read the settings again now, as on SIGHUP."""
        self._requested.set()
        for call in self.on_request:
            call()

    async def run(self) -> None:
        """Read the settings again whenever that is requested or the file has changed, endlessly."""
        while True:
            await aio.first(self._requested.wait(), self._clock.sleep(LOOK_EVERY))
            requested = self._requested.is_set()
            self._requested.clear()
            if requested or self._source.has_changed():
                await self._reload(requested=requested)

    async def _reload(self, *, requested: bool) -> None:
        try:
            wanted = await asyncio.to_thread(self._source.read)
        except ConfigError as error:
            self._refuse(error)
            return
        answered = requested or not self.last_successful
        self.last_successful = True
        self._host_report.clear_alert(AlertId.CONFIG_REFUSED)
        self._take(changes.between(self._in_force.settings, wanted), wanted, answered=answered)

    def _refuse(self, error: ConfigError) -> None:
        self.last_successful = False
        message = f"{error}; the agent continues with the settings that it read before"
        if AlertId.CONFIG_REFUSED in self._host_report.alerts:  # its begin is a line of its own
            log.warning("the configuration was refused", action="reload", error=message)
        self._host_report.raise_alert(AlertId.CONFIG_REFUSED, message, self._clock.now())

    def _take(self, found: changes.Changes, wanted: Settings, *, answered: bool) -> None:
        """Apply what can be applied. `answered`: log also that nothing could, as somebody waits for an answer."""
        if found.applied:
            self._apply(changes.merge(self._in_force.settings, wanted))
            log.info("the configuration was read again", action="reload", changed=", ".join(found.applied))
        elif answered:
            log.info("the configuration was read again; no setting in force has changed", action="reload")
        self._show_restart(found.restart)

    def _show_restart(self, keys: tuple[str, ...]) -> None:
        """Raise or clear the alert about keys that only a restart applies."""
        message = f"{', '.join(keys)}: changed in the configuration; restart the agent to apply that"
        stands = AlertId.RESTART_NEEDED in self._host_report.alerts
        if keys:
            self._host_report.raise_alert(AlertId.RESTART_NEEDED, message, self._clock.now())
        else:
            self._host_report.clear_alert(AlertId.RESTART_NEEDED)
        if stands and keys and keys != self._waiting:  # the begin of the alert is a line of its own
            log.warning(message, action="reload")
        self._waiting = keys
