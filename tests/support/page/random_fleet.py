"""A made-up fleet for the page, the same for the same seed."""

import random
from collections.abc import Iterator
from datetime import timedelta

from agent.fleet.live.row import HostRow
from agent.fleet.web import documents
from tests.support.builders import GB, make_id
from tests.support.page.fleet import (
    DAY,
    HOUR,
    MINUTE,
    TB,
    Fleet,
    make_alert,
    make_decision,
    make_image,
    make_row,
    ms,
    now,
)

NAMES = (
    ("nvcr.io/nvidia/pytorch:25.10-py3", "2.9.0a0", "cuda13.0", 20.3),
    ("nvcr.io/nvidia/pytorch:25.04-py3", "2.7.0a0", "cuda12.9", 19.6),
    ("pytorch/pytorch:2.9.0-cuda12.8-cudnn9-runtime", "2.9.0", "cuda12.8", 4.9),
    ("pytorch/pytorch:2.6.0-cuda12.4-cudnn9-devel", "2.6.0", "cuda12.4", 13.2),
    ("teamai/pytorch:2.7-cuda11.8", "2.7.0", "cuda11.8", 9.5),
    ("teamai/trainer:latest", "2.8.0", "cuda12.8", 11.4),
    ("lab/finetune:exp7", "2.6.0", "cuda12.4", 6.1),
    ("rocm/pytorch:rocm6.4_ubuntu24.04_py3.12_pytorch_2.6.0", "2.6.0", "rocm6.4", 16.8),
    ("vllm/vllm-openai:v0.11.0", "2.8.0", "cuda12.8", 10.2),
    (
        "registry.example/vision/segmentation-research-team/very-long-repository-name:2026-11-30-nightly",
        "2.9.0",
        "cpu",
        3.2,
    ),
)
REASONS = (
    "recent",
    "recent",
    "recent",
    "in-use",
    "in-use",
    "local-only",
    "protected-tag",
    "not-pytorch",
    "idle-ttl",
    "pinned",
)


def make_fleet(hosts: int, seed: int = 7) -> Fleet:
    """`hosts` hosts, gpu-00-00 to gpu-99-99; one in thirty is away, and one in eight is over its limit."""
    chance = random.Random(seed)
    fleet = Fleet()
    for number in range(hosts):
        name = f"gpu-{number // 100:02}-{number % 100:02}"
        fleet.hosts[name] = _random_row(chance, name)
    for name in list(fleet.hosts)[:200]:
        fleet.images[name] = list(_random_images(chance, 12))
    names = list(fleet.hosts)
    fleet.decisions = (
        [_random_decision(chance, number, chance.choice(names)) for number in range(1, 61)] if names else []
    )
    fleet.alerts = [
        make_alert(
            row.host,
            "outbox-behind" if not row.criticals else "removed-another-image",
            severity="critical" if row.criticals else "warning",
        )
        for row in fleet.hosts.values()
        if row.warnings or row.criticals
    ]
    return fleet


def _random_row(chance: random.Random, name: str) -> HostRow:
    total = chance.choice((4, 8, 10, 16)) * TB
    share = min(0.995, chance.betavariate(5, 2.2))
    state = chance.choices(("online", "stale", "offline"), (965, 10, 25))[0]
    silent = {"online": chance.random() * MINUTE, "stale": 20 * MINUTE, "offline": chance.random() * 9 * DAY}[state]
    due = chance.random() < 0.4
    decided = now() - chance.random() * 6 * DAY
    return make_row(
        name,
        state=state,
        mode=chance.choices(("enforce", "observe"), (9, 1))[0],
        paused=chance.random() < 0.01,
        last_seen=ms(now() - silent),
        images=chance.randint(4, 180),
        images_left_out=chance.choice((0, 0, 47)),
        disk_used_bytes=int(total * share),
        disk_total_bytes=total,
        high=chance.choice((0.85, 0.85, 0.9, None)),
        reclaimable_bytes=int(chance.random() * TB) if due else 0,
        next_eviction=ms(now() + chance.random() * 14 * DAY),
        warnings=int(chance.random() < 0.02),
        criticals=int(chance.random() < 0.0004),
        last_decision_at=ms(decided) if chance.random() < 0.9 else None,
        last_outcome=chance.choices(("removed", "refused", "failed", "would-remove"), (90, 5, 2, 10))[0],
        freed_24h_bytes=int(chance.random() * 90 * GB) if chance.random() < 0.3 else 0,
        regrets_30d=chance.choice((0, 0, 0, 0, 1, 2)),
    )


def _random_images(chance: random.Random, number: int) -> Iterator[documents.HostImage]:
    at = now()
    for i in range(number):
        name, torch, accelerator, size = NAMES[i % len(NAMES)]
        name = name if i < len(NAMES) else f"{name}-{i}"
        reason = REASONS[i % len(REASONS)] if i else "idle-ttl"
        idle = chance.random() * 13 * DAY + (15 * DAY if reason == "idle-ttl" else timedelta())
        yield make_image(
            name,
            f"{name.split(':')[0]}@{make_id('digest of ' + name)}",
            action="evict" if reason == "idle-ttl" else "keep",
            reason=reason,
            held_by="window" if reason == "idle-ttl" and i else None,
            running=reason == "in-use" and i % 2 == 0,
            explanation=_explain(reason, idle),
            torch_version=torch,
            accelerator=accelerator,
            last_used=at - idle,
            idle_since=at - idle,
            deadline=None if reason not in ("recent", "idle-ttl") else at - idle + 14 * DAY,
            size_bytes=int(size * GB),
            estimated_bytes=int(size * GB * chance.choice((0.4, 0.7, 1))),
            elsewhere=chance.choice((0, 3, 210)),
            warnings=["its tag says 2.7, but torch 2.6.0 is inside"] if i == 6 else [],
        )


def _explain(reason: str, idle: timedelta) -> str:
    return {
        "recent": f"idle {idle.days} d; due in {13 - idle.days} d",
        "idle-ttl": f"idle {idle.days} d, TTL 14 d; frees about 4.9 GB",
        "in-use": "a container uses it (llm-train-3)",
        "local-only": "possibly the only copy: no registry source is known",
        "protected-tag": "kept: policy.protect matches it",
        "pinned": "kept: it is pinned",
        "not-pytorch": "nothing shows that it is a PyTorch image",
    }[reason]


def _random_decision(chance: random.Random, number: int, host: str) -> documents.Decision:
    name, _, _, size = chance.choice(NAMES)
    outcome = chance.choices(("removed", "refused", "failed", "would-remove", None), (80, 6, 3, 8, 3))[0]
    at = now() - (61 - number) * chance.choice((1, 2)) * MINUTE
    return make_decision(
        number,
        host,
        name,
        at=at,
        outcome=outcome,
        outcome_at=at + timedelta(seconds=4) if outcome else None,
        measured_bytes=int(size * GB * 0.6) if outcome == "removed" and number % 3 else None,
        estimated_bytes=int(size * GB * 0.6),
        error="conflict: unable to remove repository reference: container 4be1 is using it"
        if outcome in ("refused", "failed")
        else None,
        explanation=f"idle {15 + number % 9} d 3 h, TTL 14 d; frees about {size * 0.6:.1f} GB",
        regret_at=now() - 3 * HOUR if number % 17 == 0 else None,
    )
