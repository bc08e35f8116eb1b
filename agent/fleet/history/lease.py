"""A lease on the database, so that no two collectors with the same id write into it.

The broker gives one client ID to one client: two collectors would end each other's connections for ever. The lease is a
row that its holder renews. After a kill it is free again once nobody has renewed it for a while, and at once for a
process on the same machine, which can see that the holder is gone.
"""

import os
import secrets
import socket
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from pathlib import Path

import structlog
from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError
from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from agent.adapters.boot import boot_id
from agent.adapters.clock import Clock
from agent.fleet.history.errors import HistoryUnavailable
from agent.fleet.history.tables import meta

RENEW_EVERY = 10.0  # seconds
SILENCE = 30.0  # seconds without a renewal, after which the holder counts as gone
LOOK_EVERY = 1.0  # seconds, while another process holds it
# By the wall clock, which may differ between machines: a lease that old is not even watched.
FORGOTTEN = timedelta(minutes=10)

log = structlog.get_logger()

Transaction = Callable[[], AbstractAsyncContextManager[AsyncConnection]]


class LeaseTaken(Exception):
    """Another monitor holds the lease. The message says where it runs, and what to do."""


class Process(BaseModel):
    """A process. `space`: the machine's boot and the PID namespace, in which `pid` and `started` say which it is."""

    model_config = ConfigDict(frozen=True)

    machine: str
    space: str
    pid: int
    started: int

    @classmethod
    def of(cls, pid: int) -> "Process":
        """A process of this machine."""
        return cls(machine=socket.gethostname(), space=_space(), pid=pid, started=_started(pid) or 0)


class Holder(BaseModel):
    """Who holds a lease."""

    model_config = ConfigDict(frozen=True)

    token: str
    process: Process
    renewed: AwareDatetime


class Lease:
    """The lease of one collector id."""

    def __init__(self, transaction: Transaction, identity: str, clock: Clock, process: Process | None = None) -> None:
        """`process`: which holds it; this one by default."""
        self._process = process or Process.of(os.getpid())
        self._transaction = transaction
        self._identity = identity
        self._key = f"lease/{identity}"
        self._clock = clock
        self._token = secrets.token_hex(8)

    async def acquire(self) -> None:
        """Take the lease, after waiting for one that nobody renews. Raises LeaseTaken if somebody does."""
        first, began = await self.renew(), self._clock.monotonic()
        holder, is_logged = first, False
        while holder is not None:
            if holder != first or holder.process.space == self._process.space:
                raise LeaseTaken(self._describe(holder))
            if not is_logged:
                is_logged = True
                log.info("another monitor used this database; waiting whether it still runs", action="lease")
            await self._clock.sleep(LOOK_EVERY)
            is_gone = self._clock.monotonic() - began >= SILENCE
            holder = await self.renew(gone=first if is_gone else None)

    async def keep(self) -> None:
        """Renew the lease, endlessly. Raises LeaseTaken if another process took it."""
        while True:
            await self._clock.sleep(RENEW_EVERY)
            try:
                holder = await self.renew()
            except HistoryUnavailable:
                continue  # the collector says so
            if holder is not None:
                raise LeaseTaken(self._describe(holder))

    async def renew(self, gone: Holder | None = None) -> Holder | None:
        """Take or renew the lease. Returns its holder if that is another process that may run. `gone`: it does not."""
        async with self._transaction() as connection:
            query = select(meta.c.value).where(meta.c.key == self._key).with_for_update()
            found = (await connection.execute(query)).scalar()
            holder = _parse(found)
            if holder is not None and holder.token != self._token and holder != gone and self._may_run(holder):
                return holder
            value = self._own().model_dump_json()
            if found is None:
                await connection.execute(insert(meta).values(key=self._key, value=value))
            else:
                await connection.execute(update(meta).where(meta.c.key == self._key).values(value=value))
        return None

    async def release(self) -> None:
        """Give the lease up, if this process holds it."""
        async with self._transaction() as connection:
            found = (await connection.execute(select(meta.c.value).where(meta.c.key == self._key))).scalar()
            holder = _parse(found)
            if holder is not None and holder.token == self._token:
                await connection.execute(delete(meta).where(meta.c.key == self._key))

    def _may_run(self, holder: Holder) -> bool:
        other = holder.process
        if other.space == self._process.space:
            return other.pid != self._process.pid and _started(other.pid) == other.started
        return self._clock.now() - holder.renewed < FORGOTTEN

    def _own(self) -> Holder:
        return Holder(token=self._token, process=self._process, renewed=self._clock.now())

    def _describe(self, holder: Holder) -> str:
        return (
            f"another monitor with the id {self._identity!r} uses this database: process"
            f" {holder.process.pid} on {holder.process.machine}; stop it, or give this one another monitor.id"
        )


def _parse(value: str | None) -> Holder | None:
    try:
        return Holder.model_validate_json(value) if value else None
    except ValidationError:
        return None


def _space() -> str:
    try:
        namespace = str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        namespace = ""
    return f"{boot_id()} {namespace}"


def _started(pid: int) -> int | None:
    """When a process started, in clock ticks since boot; None if there is none. A PID alone may be used again."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    except (OSError, ValueError, IndexError):
        return None
