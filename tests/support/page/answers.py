"""What the fake monitor answers, as the models of the API say it."""

from collections import Counter
from datetime import timedelta
from typing import Any

from agent.core.protocol import payloads
from agent.core.policy.decision import Mode
from agent.fleet.live.row import COLUMNS, HostRow
from agent.fleet.web import documents
from tests.support.builders import GB
from tests.support.page.fleet import DAY, HOUR, POLICY, Fleet, now


def columns(fleet: Fleet, position: str) -> documents.HostColumns:
    return documents.HostColumns(at=position, columns=list(COLUMNS), hosts=[values(row) for row in fleet.hosts.values()])


def values(row: HostRow) -> list[Any]:
    return [getattr(row, name) for name in COLUMNS]


def overview(fleet: Fleet, monitor: documents.Monitor) -> documents.Overview:
    standing = [alert for alert in fleet.alerts if alert.until is None]
    rows = [row for row in fleet.hosts.values() if row.state != "offline"]
    evicted = 4312 if fleet.hosts else 0
    return documents.Overview(
        at=now(),
        hosts=dict(Counter(row.state for row in fleet.hosts.values())),
        observing=sum(row.mode == "observe" for row in rows),
        paused=sum(bool(row.paused) for row in rows),
        reclaimed=documents.Reclaimed(measured_bytes=evicted * 26 * GB, estimated_bytes=evicted * GB // 2, evicted=evicted, would_evict=0, regrets=evicted // 116),
        reclaimable_bytes=sum(row.reclaimable_bytes or 0 for row in rows),
        reclaimable_hosts=sum(bool(row.reclaimable_bytes) for row in rows),
        over_high=0,
        high="by their own policy",
        alerts=len(standing),
        critical_alerts=dict(Counter(alert.id for alert in standing if alert.severity == "critical")),
        blocked=fleet.blocked,
        decisions=fleet.decisions[:-61:-1],
        missing_events=sum(high - low + 1 for ranges in fleet.missing.values() for low, high in ranges),
        dropped_events=0,
        monitor=monitor,
    )  # fmt: skip


def host(row: HostRow, alerts: list[documents.Alert]) -> documents.Host:
    facts = {name: getattr(row, name) for name in COLUMNS}
    for name in ("warnings", "criticals", "last_outcome"):
        del facts[name]
    for name in ("last_seen", "next_eviction"):
        facts[name] = _time(facts[name])
    decided = facts.pop("last_decision_at")
    last = documents.LastDecision(at=_time(decided), outcome=row.last_outcome) if decided else None
    return documents.Host(**facts, last_decision=last, alerts=alerts)


def host_detail(fleet: Fleet, name: str) -> documents.HostDetail:
    row = fleet.hosts[name]
    alerts = [alert for alert in fleet.alerts if alert.host == name and alert.until is None]
    images = fleet.images.get(name, [])
    blocked = next((each.held for each in fleet.blocked if each.host == name), None)
    missing = fleet.missing.get(name, [])
    return documents.HostDetail(
        host=host(row, alerts), info=_info(row), images=images, alerts=alerts, held=blocked or held(images),
        streams=[documents.Stream(epoch="e-1", contiguous=4100, missing=missing)],
    )  # fmt: skip


def held(images: list[documents.HostImage]) -> list[documents.Held]:
    found: dict[str, list[documents.HostImage]] = {}
    for image in images:
        found.setdefault(image.reason, []).append(image)
    sums = [
        documents.Held(reason=reason, words=reason, images=len(some), bytes=sum(image.estimated_bytes for image in some), way_out="")
        for reason, some in found.items()
    ]  # fmt: skip
    return sorted(sums, key=lambda each: -each.bytes)


def images(fleet: Fleet, q: str = "") -> documents.Images:
    found = [summary(fleet, identity) for identity in _everywhere(fleet)]
    wanted = [each for each in found if not q or any(q in name for name in each.references)]
    return documents.Images(images=sorted(wanted, key=lambda each: -each.hosts), next=None)


def image_detail(fleet: Fleet, identity: str) -> documents.ImageDetail:
    places = _everywhere(fleet)[identity]
    rows = [
        documents.ImageOnHost(
            host=name, references=image.references, action=image.action, reason=image.reason, held_by=image.held_by, explanation=image.explanation,
            last_used=image.last_used, last_used_by=image.last_used_by, idle_since=image.idle_since, deadline=image.deadline, estimated_bytes=image.estimated_bytes,
        )
        for name, image in places
    ]  # fmt: skip
    digest = next((name for name in places[0][1].references if "@" in name), None)
    return documents.ImageDetail(
        image=summary(fleet, identity), pull=f"docker pull {digest}" if digest else None, hosts=rows,
        decisions=[each for each in reversed(fleet.decisions) if each.image_id == identity],
    )  # fmt: skip


def summary(fleet: Fleet, identity: str) -> documents.ImageSummary:
    found = [image for _, image in _everywhere(fleet)[identity]]
    first = found[0]
    return documents.ImageSummary(
        id=identity, references=first.references, torch_version=first.torch_version, accelerator=first.accelerator, size_bytes=first.size_bytes, hosts=len(found),
        in_use=sum(image.reason == "in-use" for image in found), last_used=max((image.last_used for image in found if image.last_used), default=None),
        estimated_bytes=sum(image.estimated_bytes for image in found), local_only=sum(image.reason == "local-only" for image in found), regrets_90d=4,
    )  # fmt: skip


def series(kind: str) -> documents.Series:
    if kind == "idle":
        return documents.Series(at=[2.0**power for power in range(11)], series={"n": [310, 402, 511, 470, 390, 260, 180, 120, 70, 31, 9]})
    step, number = (DAY, 30) if kind == "reclaimed" else (HOUR, 14 * 24)
    begin = now().replace(hour=0, minute=0, second=0) - step * (number - 1)
    at = [(begin + step * i).timestamp() for i in range(number)]
    if kind == "reclaimed":
        return documents.Series(at=at, series={"idle-ttl": [float((i * 37) % 23 + 4) * 180 * GB for i in range(number)], "disk-pressure": [float(i % 5) * 90 * GB for i in range(number)]})
    used = [float(7.2e12 + (i % 60) * 3.4e10) for i in range(number)]
    return documents.Series(at=at, series={"used": [*used], "total": [1e13] * number})


def policies(fleet: Fleet) -> documents.Policies:
    if not fleet.hosts:
        return documents.Policies(policies=[])
    other = POLICY | {"policy": POLICY["policy"] | {"ttl": "30d", "rules": [{"match": "nvcr.io/nvidia/pytorch:*", "ttl": "60d", "keep": False}]}}
    names = list(fleet.hosts)
    kinds = [("9b20", POLICY, len(names) - len(names) // 17, names[0]), ("1f3c", other, len(names) // 17, names[-1])]
    return documents.Policies(policies=[documents.PolicyInForce(digest=digest, policy=policy, hosts=hosts, example=example) for digest, policy, hosts, example in kinds if hosts])


def what_if(fleet: Fleet, ttl: timedelta) -> documents.WhatIf:
    hosts = [
        documents.WhatIfHost(host=row.host, images=7 + i % 40, bytes=(900 - i % 900) * GB, disk_used_bytes=row.disk_used_bytes, disk_total_bytes=row.disk_total_bytes)
        for i, row in enumerate(list(fleet.hosts.values())[:1000])
    ]  # fmt: skip
    return documents.WhatIf(
        ttl_seconds=ttl.total_seconds(), at=now(), images=sum(row.images for row in hosts), bytes=sum(row.bytes for row in hosts), hosts_with=len(fleet.hosts),
        offline_left_out=sum(row.state == "offline" for row in fleet.hosts.values()), idle_spells=9000, ended_with_use=1000, hosts=hosts,
    )  # fmt: skip


def _everywhere(fleet: Fleet) -> dict[str, list[tuple[str, documents.HostImage]]]:
    found: dict[str, list[tuple[str, documents.HostImage]]] = {}
    for name, on_host in fleet.images.items():
        for image in on_host:
            found.setdefault(image.id, []).append((name, image))
    return found


def _info(row: HostRow) -> payloads.Info:
    return payloads.Info(
        host=row.host, version=row.version or "0.1.0", engine={"version": "28.5", "driver": "overlay2"}, agent_id="9b20", epoch="e-1",
        mode=Mode(row.mode or "enforce"), policy=POLICY, started=now() - 27 * DAY, at=now(),
    )  # fmt: skip


def _time(milliseconds: int | None) -> Any:
    return None if milliseconds is None else now().fromtimestamp(milliseconds / 1000, tz=now().tzinfo)
