"""What the fake monitor answers, as the models of the API say it."""

from collections import Counter
from datetime import timedelta
from typing import Any

from agent.fleet.live.row import COLUMNS, HostRow
from agent.fleet.web import documents
from tests.support.builders import GB
from tests.support.page import details
from tests.support.page.fleet import DAY, HOUR, POLICY, Fleet, now


def columns(fleet: Fleet, position: str) -> documents.HostColumns:
    return documents.HostColumns(
        at=position, columns=list(COLUMNS), hosts=[values(row) for row in fleet.hosts.values()]
    )


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
        reclaimed=documents.Reclaimed(
            measured_bytes=evicted * 26 * GB,
            estimated_bytes=evicted * GB // 2,
            evicted=evicted,
            would_evict=0,
            regrets=evicted // 116,
        ),
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
    )


def images(fleet: Fleet, q: str = "") -> documents.Images:
    found = [details.summary(fleet, identity) for identity in details.everywhere(fleet)]
    wanted = [each for each in found if not q or any(q in name for name in each.references)]
    return documents.Images(
        images=sorted(wanted, key=lambda each: -each.hosts), next=None, incomplete_hosts=fleet.incomplete_hosts
    )


def series(kind: str) -> documents.Series:
    if kind == "idle":
        return documents.Series(
            at=[2.0**power for power in range(11)],
            series={"spells": [310, 402, 511, 470, 390, 260, 180, 120, 70, 31, 9]},
        )
    step, number = (DAY, 30) if kind == "reclaimed" else (HOUR, 14 * 24)
    begin = now().replace(hour=0, minute=0, second=0) - step * (number - 1)
    at = [(begin + step * i).timestamp() for i in range(number)]
    if kind == "reclaimed":
        return documents.Series(
            at=at,
            series={
                "measured": [float((i * 37) % 23 + 4) * 180 * GB for i in range(number)],
                "estimated": [float(i % 5) * 90 * GB for i in range(number)],
            },
        )
    used = [float(7.2e12 + (i % 60) * 3.4e10) for i in range(number)]
    return documents.Series(at=at, series={"used": [*used], "total": [1e13] * number})


def policies(fleet: Fleet) -> documents.Policies:
    if not fleet.hosts:
        return documents.Policies(policies=[])
    other = POLICY | {
        "policy": POLICY["policy"]
        | {"ttl": "30d", "rules": [{"match": "nvcr.io/nvidia/pytorch:*", "ttl": "60d", "keep": False}]}
    }
    names = list(fleet.hosts)
    kinds = [("9b20", POLICY, len(names) - len(names) // 17, names[0]), ("1f3c", other, len(names) // 17, names[-1])]
    return documents.Policies(
        policies=[
            documents.PolicyInForce(digest=digest, policy=policy, hosts=hosts, example=example)
            for digest, policy, hosts, example in kinds
            if hosts
        ]
    )


def what_if(fleet: Fleet, ttl: timedelta) -> documents.WhatIf:
    hosts = [
        documents.WhatIfHost(
            host=row.host,
            images=7 + i % 40,
            bytes=(900 - i % 900) * GB,
            disk_used_bytes=row.disk_used_bytes,
            disk_total_bytes=row.disk_total_bytes,
        )
        for i, row in enumerate(list(fleet.hosts.values())[:1000])
    ]
    return documents.WhatIf(
        incomplete_hosts=fleet.incomplete_hosts,
        ttl_seconds=ttl.total_seconds(),
        at=now(),
        images=sum(row.images for row in hosts),
        bytes=sum(row.bytes for row in hosts),
        hosts_with=len(fleet.hosts),
        offline_left_out=sum(row.state == "offline" for row in fleet.hosts.values()),
        idle_spells=9000,
        ended_with_use=1000,
        hosts=hosts,
    )
