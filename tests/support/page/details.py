"""What the fake monitor answers about one host or one image, as the models of the API say it."""

from typing import Any

from agent.fleet.live.row import COLUMNS, HostRow
from agent.fleet.web import documents
from tests.support.page.fleet import DAY, HOUR, POLICY, Fleet, now


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
        incomplete=fleet.incomplete_hosts > 0,
        host=host(row, alerts),
        info=_info(row),
        images=images,
        alerts=alerts,
        held=blocked or held(images),
        streams=[documents.Stream(epoch="e-1", contiguous=4100, missing=missing)],
    )


def held(images: list[documents.HostImage]) -> list[documents.Held]:
    found: dict[str, list[documents.HostImage]] = {}
    for image in images:
        found.setdefault(image.reason, []).append(image)
    sums = [
        documents.Held(
            reason=reason,
            words=reason,
            images=len(some),
            bytes=sum(image.estimated_bytes for image in some),
            way_out="",
        )
        for reason, some in found.items()
    ]
    return sorted(sums, key=lambda each: -each.bytes)


def image_detail(fleet: Fleet, identity: str) -> documents.ImageDetail:
    places = everywhere(fleet)[identity]
    rows = [
        documents.ImageOnHost(
            host=name,
            references=image.references,
            action=image.action,
            reason=image.reason,
            held_by=image.held_by,
            explanation=image.explanation,
            last_used=image.last_used,
            last_used_by=image.last_used_by,
            idle_since=image.idle_since,
            deadline=image.deadline,
            estimated_bytes=image.estimated_bytes,
        )
        for name, image in places
    ]
    digest = next((name for name in places[0][1].references if "@" in name), None)
    return documents.ImageDetail(
        image=summary(fleet, identity),
        pull=f"docker pull {digest}" if digest else None,
        hosts=rows,
        decisions=[each for each in reversed(fleet.decisions) if each.image_id == identity],
    )


def summary(fleet: Fleet, identity: str) -> documents.ImageSummary:
    found = [image for _, image in everywhere(fleet)[identity]]
    first = found[0]
    return documents.ImageSummary(
        id=identity,
        references=first.references,
        torch_version=first.torch_version,
        accelerator=first.accelerator,
        size_bytes=first.size_bytes,
        hosts=len(found),
        in_use=sum(image.reason == "in-use" for image in found),
        last_used=max((image.last_used for image in found if image.last_used), default=None),
        estimated_bytes=sum(image.estimated_bytes for image in found),
        local_only=sum(image.reason == "local-only" for image in found),
        regrets_90d=4,
    )


def everywhere(fleet: Fleet) -> dict[str, list[tuple[str, documents.HostImage]]]:
    found: dict[str, list[tuple[str, documents.HostImage]]] = {}
    for name, on_host in fleet.images.items():
        for image in on_host:
            found.setdefault(image.id, []).append((name, image))
    return found


def _info(row: HostRow) -> documents.AgentInfo:
    return documents.AgentInfo(
        version=row.version or "0.1.0",
        agent_id="9b20",
        mode=row.mode,
        engine={"version": "28.5", "driver": "overlay2"},
        policy=POLICY,
        started=now() - 27 * DAY,
        state_since=now() - 3 * HOUR,
        first_seen=now() - 27 * DAY,
    )


def _time(milliseconds: int | None) -> Any:
    return None if milliseconds is None else now().fromtimestamp(milliseconds / 1000, tz=now().tzinfo)
