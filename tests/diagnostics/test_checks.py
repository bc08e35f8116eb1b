"""What `checks` says of pins that several images answer to, of doubtful images, and of a full disk."""

import pytest

from agent.adapters import disk
from agent.config.settings import Settings
from agent.core.policy.decide import Context
from agent.core.policy.disk import DiskUsage
from agent.core.policy.overrides import Pin
from agent.core.policy.settings import Policy, Pressure
from agent.diagnostics import engine, images, state
from agent.diagnostics.check import Check
from tests.support.builders import GB, NOW, decide, make_engine_info, make_usage, pulled_image, pytorch_image


def test_the_start_of_an_id_that_several_images_have_is_noted_with_their_number() -> None:
    first, second = (f"sha256:{'a' * 63}{digit}" for digit in "12")
    plan = decide(pulled_image("a", id=first), pulled_image("b", id=second), pulled_image("other"))
    pins = [Pin(id=id_, reference="", at=NOW) for id_ in (first[:19], first, "")]
    assert state._vague(pins, plan) == [(pins[0], 2)]


def test_images_that_are_pytorch_by_one_sign_are_counted_and_named_and_fail_nothing() -> None:
    doubtful = [pytorch_image(f"{number}", f"corp/app:{number}") for number in range(5)]
    nameless = pytorch_image("n", references=())
    plan = decide(*doubtful, nameless, pytorch_image("sure", "team/pytorch:2.9-cuda12.6"), pulled_image("web"))
    (found,) = images.check_doubtful(images.Inspection(plan, ()))
    names = "6e0000000000, corp/app:0, corp/app:1, corp/app:2 and 2 more"
    assert (found.name, found.ok) == ("recognition", True)
    assert found.detail == f"6 image(s) count as PyTorch by one sign alone: {names}"
    assert found.hint.startswith("torchkeeper lint names the sign; if that is wrong, add it to images.exclude")


def test_where_no_image_is_in_doubt_nothing_is_said_of_it() -> None:
    sure = pytorch_image("sure", "team/pytorch:2.9-cuda12.6")
    assert (images.check_doubtful(None), images.check_doubtful(images.Inspection(decide(sure), ()))) == ([], [])


PRESSED = Policy(pressure=Pressure(high=0.2, low=0.1))
DISK = DiskUsage(used_bytes=33 * GB, available_bytes=67 * GB)


@pytest.mark.parametrize(
    ("evictable", "expected"),
    [
        (True, Check("disk", True, "/var/lib/docker: 33% of 100 GB used")),
        (
            False,
            Check(
                "disk",
                False,
                "/var/lib/docker: 33% of 100 GB used; "
                "disk 33% full (high 20%, low 10%), and nothing may be evicted now: min-age 100 MB",
                "torchkeeper plan shows what keeps each image, and why",
            ),
        ),
    ],
)
def test_a_full_disk_fails_where_nothing_may_be_evicted(
    evictable: bool, expected: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk, "space", lambda _root: DISK)
    image = pytorch_image("torch")
    usages = () if evictable else (make_usage(image, first_seen=NOW),)
    plan = decide(image, usages=usages, rules=PRESSED, context=Context(disk=DISK))
    assert engine.check_disk(Settings(), make_engine_info(), plan) == expected
