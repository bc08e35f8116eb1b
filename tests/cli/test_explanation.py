"""`torchkeeper explain`: what is to be copied is not folded, times are for people, and the next step is said."""

from dataclasses import replace

import pytest

from agent.cli import documents, explanation
from agent.core import units
from agent.core.model import Container
from agent.core.policy.decision import Decision, HeldBy
from agent.core.policy.settings import Policy
from agent.core.usage.tracker import Use
from tests.cli.printing import lines
from tests.support.builders import MB, NOW, container_of, decide, idle_usage, make_id, only_decision, pytorch_image
from tests.support.times import DAY, MINUTE, SECOND

NAMES = ("registry.example:5000/platform/base/pytorch-training-with-a-long-name:2.9-cuda12.6", "team/torch:1")
TORCH = pytorch_image("torch", *NAMES, layers=30 * MB)


def facts(item: Decision, *containers: Container, uses: tuple[Use, ...] = ()) -> explanation.Facts:
    return explanation.Facts(at=NOW, decision=item, uses=uses, ignored=(), containers=containers)


def shown(seen: explanation.Facts, width: int | None = 80) -> list[str]:
    return lines(explanation.render(seen, Policy()), width)


def recent() -> Decision:
    return only_decision(decide(TORCH, usages=(idle_usage(TORCH, last_used=NOW - DAY),)))


def row(head: str, seen: explanation.Facts) -> str:
    [found] = [line[14:] for line in shown(seen, None) if line.startswith(head)]
    return found


def test_names_the_id_and_commands_are_one_line_each_at_any_width() -> None:
    for width in (40, 80, None):
        printed = shown(facts(recent()), width)
        assert f"image         {NAMES[0]}" in printed
        assert f"              {NAMES[1]}" in printed
        assert f"id            {make_id('torch')}" in printed
        assert f"to keep it    torchkeeper pin {NAMES[0]}" in printed


def test_other_lines_fit_the_terminal() -> None:
    copied = (*NAMES, make_id("torch"), "sha256:", "pin ", "match =")
    prose = [line for line in shown(facts(recent())) if not any(part in line for part in copied)]
    assert max(map(len, prose)) <= 80


def test_times_are_to_the_minute_and_say_how_long_ago() -> None:
    use = Use(image_id=TORCH.id, container_id="c", at=NOW - 9 * MINUTE, action="start", by="train")
    seen = facts(recent(), uses=(use,))
    assert row("use ", seen) == "2026-03-01 11:51 UTC (9 min ago): start train"
    assert row("last used", seen) == "2026-02-28 12:00 UTC (1 d ago)"
    assert row("next", seen) == "will be removed 2026-03-14 12:00 UTC (in 13 d), unless it is used before"


def test_it_says_what_becomes_of_an_image() -> None:
    due, held = only_decision(decide(TORCH)), replace(only_decision(decide(TORCH)), held_by=HeldBy.PAUSED)
    box = container_of(TORCH, "box")
    in_use = only_decision(decide(TORCH, containers=(box,)))
    kept = only_decision(decide(pytorch_image("latest", "team/torch:latest")))
    assert row("next", facts(due)) == "will be removed by the next sweep"
    assert row("next", facts(held)) == "will be removed by the next sweep, once it is no longer held"
    assert row("to remove", facts(held)) == "end the pause: torchkeeper resume"
    assert row("next", facts(in_use, box)) == "will not be removed while a container uses it"
    assert row("next", facts(kept)) == "will not be removed while this is so"


def test_it_says_whether_an_image_shares_layers() -> None:
    other = pytorch_image("other", "team/other:1", layers={"sha256:base": 20 * MB})
    shared = pytorch_image("shared", "team/shared:1", layers={"sha256:base": 20 * MB, "sha256:own": 10 * MB})
    items = {item.image.references[0]: item for item in decide(other, shared).decisions}
    assert (
        row("frees", facts(items["team/shared:1"]))
        == "about 10.0 MB of 30.0 MB: other images have the other layers, too"
    )
    assert row("frees", facts(recent())) == "about 30.0 MB: its whole size, for no other image has its layers"


def test_the_document_has_every_reason_that_was_asked_and_the_same_advice() -> None:
    seen = facts(recent())
    document = documents.explain(seen.decision, seen.uses, seen.ignored, NOW, "gpu-07", ()) | documents.ways(seen)
    asked = [(step["reason"], step["answer"]) for step in document["steps"]]
    assert asked[0] == ("unknown", "no")
    assert asked[-1] == ("recent", seen.decision.explanation)
    assert document["to_keep"] == [f"torchkeeper pin {NAMES[0]}"]
    assert document["to_remove"][-1] == f"docker image rm {' '.join(NAMES)}"
    assert document["evidence"]


@pytest.mark.parametrize(
    ("distance", "said"),
    [
        (9 * MINUTE, "2026-03-01 11:51 UTC (9 min ago)"),
        (-(3 * DAY + 2 * 60 * MINUTE), "2026-03-04 14:00 UTC (in 3 d 2 h)"),
        (0 * SECOND, "2026-03-01 12:00 UTC (now)"),
    ],
)
def test_a_time_for_people_has_its_distance(distance: object, said: str) -> None:
    assert units.time_for_people(NOW - distance, NOW) == said  # type: ignore[operator]
