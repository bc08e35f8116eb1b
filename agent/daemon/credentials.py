"""Watches the files of certificates and passwords while the agent runs.

A connection stays open although the files that it was made with are replaced, and even after its certificate expired.
So the agent connects again once they have changed: within an hour, at a time that differs between the hosts of a fleet,
or at once on SIGHUP. Files that cannot be used end no connection.
"""

import asyncio
import random
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Literal

import structlog

from agent import aio
from agent.adapters.clock import Clock
from agent.adapters.mqtt.credentials import CredentialFiles
from agent.core import units
from agent.core.protocol.alerts import AlertId
from agent.reporting.host_report import HostReport

LOOK_EVERY = 60.0  # seconds between looks at the files
SPREAD = 3600.0  # seconds within which all hosts of a fleet connect again
AHEAD = timedelta(days=14)  # how long before it expires a certificate raises an alert

log = structlog.get_logger()


class CredentialWatch:
    """Connects again with changed files, and raises alerts about certificates and secrets."""

    def __init__(
        self,
        files: CredentialFiles,
        reconnect: Callable[[], None],
        host_report: HostReport,
        clock: Clock,
        *,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """`reconnect`: ends the present connection and makes another. `chance`: a number from 0 up to 1."""
        self._files = files
        self._reconnect = reconnect
        self._host_report = host_report
        self._clock = clock
        self._chance = chance
        self._requested = asyncio.Event()
        self._due: float | None = None  # when to connect again; None: the files have not changed
        self.certificate_expiry: datetime | None = None  # of the own certificate

    def request(self) -> None:
        """Look now, and connect again at once if the files have changed, as on SIGHUP."""
        self._requested.set()

    async def run(self) -> None:
        """Look at the files, endlessly."""
        while True:
            requested = self._requested.is_set()
            self._requested.clear()
            await self._look(requested=requested)
            await aio.first(self._requested.wait(), self._clock.sleep(LOOK_EVERY))

    async def _look(self, *, requested: bool) -> None:
        self.certificate_expiry = await asyncio.to_thread(self._files.own_certificate_expires)
        self._host_report.certificate_expires = self.certificate_expiry
        exposed = await asyncio.to_thread(self._files.exposures)
        found = "; ".join(f"{item.detail}; {item.hint}" for item in exposed)
        self._show(AlertId.CREDENTIALS_EXPOSED, found)
        self._show_expiry(self._clock.now())
        await self._renew(requested=requested)

    async def _renew(self, *, requested: bool) -> None:
        """Connect again if the files have changed, can be used, and the time has come."""
        if not self._files.have_changed(settled=not requested):
            if not self._files.have_changed(settled=False):
                self._due = None
                self._show(AlertId.CREDENTIALS_UNUSABLE, "")
            return
        problem = await asyncio.to_thread(self._files.problem)
        kept = "the present connection stays open, but the next one would fail"
        self._show(AlertId.CREDENTIALS_UNUSABLE, f"{problem}; {kept}" if problem else "")
        if problem:
            return
        now = self._clock.monotonic()
        if self._due is None:
            self._due = now + SPREAD * self._chance()
        if requested or now >= self._due:
            self._due = None
            log.info("the files of certificates or the password changed; connecting again", action="mqtt-renew")
            self._reconnect()

    def _show_expiry(self, now: datetime) -> None:
        own = certificate_expires("mqtt.cert_file", self.certificate_expiry, now)
        theirs = certificate_expires("the broker's certificate", self._files.broker_certificate_expires, now)
        expired = any(
            at is not None and at <= now for at in (self.certificate_expiry, self._files.broker_certificate_expires)
        )
        self._show(AlertId.CERTIFICATE_EXPIRES, "; ".join(filter(None, [own, theirs])), critical=expired)

    def _show(self, alert: AlertId, message: str, *, critical: bool = False) -> None:
        """Raise an alert, or clear it if there is no message. A new message is logged once."""
        standing = self._host_report.alerts.get(alert)
        if not message:
            self._host_report.clear_alert(alert)
        elif standing is None or standing.message != message:
            log.warning(message, action="credentials")
            severity: Literal["warning", "critical"] = "critical" if critical else "warning"
            self._host_report.raise_alert(alert, message, self._clock.now(), severity)


def certificate_expires(what: str, at: datetime | None, now: datetime) -> str:
    """A sentence about a certificate that expires soon or has expired; "" for any other."""
    if at is None or at - now > AHEAD:
        return ""
    if at <= now:
        return f"{what} has expired on {units.format_time(at)}; renew it"
    return f"{what} expires on {units.format_time(at)}; renew it before"
