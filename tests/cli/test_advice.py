"""What `explain` tells a person to do: how an image is kept, and how it is removed."""

import tomllib
from dataclasses import replace
from datetime import timedelta

import pytest

from agent.cli import advice
from agent.core.model import Container
from agent.core.policy.decide import Context
from agent.core.policy.decision import Decision, HeldBy, Reason
from agent.core.policy.overrides import Overrides, Pin
from agent.core.policy.settings import Policy, Rule
from tests.support.builders import (
    NOW,
    container_of,
    decide,
    idle_usage,
    make_usage,
    only_decision,
    pulled_image,
    pytorch_image,
)
from tests.support.times import DAY

REF = "team/torch:1"
TORCH = pytorch_image("torch", REF)
PIN = Pin(id=TORCH.id, reference=REF, at=NOW)


def removing(item: Decision, containers: tuple[Container, ...] = (), pin: Pin | None = None) -> list[str]:
    return [line.text for line in advice.to_remove(item, containers, pin)]


def recent() -> Decision:
    return only_decision(decide(TORCH, usages=(idle_usage(TORCH, last_used=NOW - DAY),)))


def test_a_local_image_is_pushed_or_a_rule_lets_it_go() -> None:
    item = only_decision(decide(pytorch_image("torch", REF, pulled=False)))
    assert item.reason is Reason.LOCAL_ONLY
    assert removing(item) == [
        "push it to a registry, so that it is not the only copy:",
        f"docker push {REF}",
        "or accept the loss: add a rule for it",
        "[[policy.rules]]",
        f'match = "{REF}"',
        'local_images = "evict"',
        'or for every such image: local_images = "evict" in [policy]',
    ]


def test_the_rule_that_it_proposes_does_what_it_says() -> None:
    local = pytorch_image("torch", REF, pulled=False)
    lines = [line.text for line in advice.to_remove(only_decision(decide(local))) if line.whole][1:]
    [rule] = tomllib.loads("\n".join(lines))["policy"]["rules"]
    rules = Policy(rules=(Rule(match=rule["match"], evict_local=rule["local_images"] == "evict"),))
    assert only_decision(decide(local, rules=rules)).reason is Reason.IDLE_TTL


def test_an_image_in_use_has_the_commands_for_its_containers() -> None:
    stopped, running = container_of(TORCH, "one"), container_of(TORCH, "two", "running")
    item = only_decision(decide(TORCH, containers=(stopped, running)))
    assert removing(item, (stopped,))[:2] == [
        "remove its stopped containers, if nobody needs them:",
        "docker rm one",
    ]
    assert removing(item, (stopped, running))[1:3] == ["docker stop two", "docker rm one two"]


def test_a_pinned_image_is_unpinned_by_the_name_of_its_pin_and_needs_no_other_pin() -> None:
    item = only_decision(decide(TORCH, context=Context(overrides=Overrides(pins=(PIN,)))))
    assert removing(item, pin=PIN) == [f"torchkeeper unpin {REF}"]
    assert removing(item, pin=replace(PIN, reference="")) == [f"torchkeeper unpin {TORCH.id[7:19]}"]
    assert advice.to_keep(item) == []


def test_a_pytorch_image_is_kept_by_a_pin_and_another_image_needs_none() -> None:
    assert advice.to_keep(recent()) == [advice.Line(f"torchkeeper pin {REF}", whole=True)]
    assert advice.to_keep(only_decision(decide(pulled_image("web")))) == []


def test_an_image_that_is_not_due_gets_a_shorter_ttl_or_is_removed_by_hand() -> None:
    assert removing(recent())[-1] == f"docker image rm {REF}"
    assert 'ttl = "7d"' in removing(recent())


def test_an_image_that_is_evicted_needs_no_advice() -> None:
    assert removing(only_decision(decide(TORCH))) == []


@pytest.mark.parametrize("held_by", HeldBy)
def test_a_held_eviction_has_one_sentence_for_each_cause(held_by: HeldBy) -> None:
    item = replace(only_decision(decide(TORCH)), held_by=held_by)
    assert len(removing(item)) == 1


@pytest.mark.parametrize("reason", [reason for reason in Reason if not reason.evicts])
def test_every_reason_to_keep_an_image_has_a_way_to_remove_it(reason: Reason) -> None:
    for image in (TORCH, pytorch_image("untagged", references=())):
        item = replace(only_decision(decide(image, usages=(make_usage(image),))), reason=reason)
        assert removing(replace(item, action=recent().action), (container_of(image),))


def test_an_image_without_a_name_is_offered_no_pattern() -> None:
    untagged = pytorch_image("untagged", references=())
    item = only_decision(decide(untagged, rules=Policy(dangling_after=timedelta(days=1000))))
    told = removing(replace(item, reason=Reason.LOCAL_ONLY, action=recent().action))
    assert told[-1] == f"docker image rm {untagged.id[7:19]}"
    assert not any("[[" in line for line in told)
