"""A small history that has a row of each kind, for tests of all routes at once."""

from agent.fleet.history import tables, times
from tests.support.builders import GB, make_digest
from tests.support.fleet_web import Monitor
from tests.support.times import DAY, HOUR, START

POLICY = {"policy": {"ttl": "14d"}, "pressure": {"high": 0.85}}
HOST = "gpu-07"


async def fill(monitor: Monitor, name: str = "teamai/a:1") -> None:
    """`name`: of the image, and in every text that a host sends."""
    history = monitor.history
    await history.add(tables.policies, digest="p1", document=POLICY, ttl=14 * times.DAY)
    host_id = await history.host(
        HOST, version="0.9.1", agent_id="a1", mode="enforce", engine={"version": "28.5"}, policy_digest="p1"
    )
    await history.image("image", origin=make_digest("teamai/a", "image"), torch_version="2.9.0", accelerator="cuda12.8")
    await history.host_image(
        names=[name], last_used=START - 10 * DAY, idle_since=START - 10 * DAY, deadline=START + 4 * DAY
    )
    await history.decision(names=[name], explanation=name, last_used_by=name, error=name, evidence=[name])
    stream = await history.add(tables.streams, host_id=host_id, epoch="e1", contiguous=4, first_at=START, last_at=START)
    await history.add(tables.missing, stream_id=stream, lo=6, hi=9, since=START)
    event = {"stream_id": stream, "host_id": host_id, "at": START}
    await history.add(tables.gaps, seq=1, since=START - HOUR, until=START, seconds=3600.0, cause=name, **event)
    await history.add(tables.dropped, seq=2, first_seq=3, last_seq=4, count=2, reason=name, **event)
    await history.add(
        tables.sweeps, seq=3, mode="enforce", reasons={"recent": 1}, outcomes={}, estimated=5, measured=None, **event
    )
    await history.add(
        tables.build_cache,
        seq=4,
        mode="enforce",
        state="pruned",
        unused_seconds=7.0,
        records=2,
        estimated=5,
        measured=6,
        error=None,
        **event,
    )
    day = times.day_of(times.to_ms(START))
    await history.add(tables.freed_days, day=day, host_id=host_id, reason="idle-ttl", evicted=1, measured=GB, regrets=1)
    await history.add(tables.disk_hours, host_id=host_id, hour=times.to_ms(START), used_last=70, used_max=80, total=100)
    await history.add(tables.idle_spells, day=day, repository="teamai/a", bucket=4, n=3)
    await history.add(
        tables.alerts, host_id=host_id, alert_id="disk", severity="warning", message=name, since=START, until=None
    )
    monitor.live.add(HOST, version=name, images=1, disk_used_bytes=90, disk_total_bytes=100)
