"""The operator's own names, `images.known`: which images become PyTorch by them, and which do not."""

from dataclasses import replace

import pytest

from agent.core import model
from agent.core.model import Class, Evidence, Strength, Verdict
from agent.core.policy.settings import Policy
from agent.core.pytorch import operators
from tests.core import catalogue
from tests.core.builders import decide, evicted, image, only, pytorch_image
from tests.core.catalogue import make_image

TRAINER = image("t", "corp/trainer:1")
WORD = Evidence("known", Strength.STRONG, "named in images.known: corp/trainer")

NAMED = [
    ("corp/trainer", "corp/trainer:1", True),
    ("corp/trainer", f"corp/trainer@{catalogue.digest('x')}", True),
    ("corp/trainer", "corp/trainer-data:1", False),
    ("corp/trainer", "x/corp/trainer:1", False),
    ("corp/trainer:2*", "corp/trainer:1", False),
    ("corp/trainer:2*", "corp/trainer:2.1", True),
    ("corp/*", "corp/trainer:1", True),
    ("reg.corp:5000/trainer", "reg.corp:5000/trainer:1", True),
    ("trainer", "trainer:latest", True),
    ("corp/trainer@sha256:*", f"corp/trainer@{catalogue.digest('x')}", True),
    ("corp/trainer@sha256:*", "corp/trainer:1", False),
]


@pytest.mark.parametrize(("pattern", "reference", "is_named"), NAMED)
def test_a_pattern_without_a_tag_means_all_tags_and_digests(pattern: str, reference: str, is_named: bool) -> None:
    tags, digests = ((), (reference,)) if "@" in reference else ((reference,), ())
    of = replace(make_image(pulled=False), references=tags, digests=digests)
    assert operators.naming(of, (pattern,)) == (pattern if is_named else "")


def lift(verdict: Verdict, *references: str) -> Verdict:
    of = make_image(*(references or ("corp/trainer:1",)), id="sha256:a")
    return operators.lifted({"sha256:a": verdict}, [of], ("corp/trainer",))["sha256:a"]


def test_an_image_without_signs_becomes_pytorch_with_the_pattern_as_evidence() -> None:
    assert lift(Verdict(kind=Class.OTHER)) == Verdict(kind=Class.PYTORCH, evidence=(WORD,))


def test_an_ambiguous_image_becomes_pytorch_and_keeps_its_other_evidence() -> None:
    weak = Evidence("name", Strength.WEAK, "name torch")
    assert lift(Verdict(kind=Class.AMBIGUOUS, evidence=(weak,))).evidence == (WORD, weak)


def test_any_reference_may_match() -> None:
    assert lift(Verdict(kind=Class.OTHER), "a/b:1", "corp/trainer:1").kind is Class.PYTORCH


def test_a_pytorch_image_is_not_changed() -> None:
    assert lift(Verdict(kind=Class.PYTORCH, torch_version="2.9")) == Verdict(kind=Class.PYTORCH, torch_version="2.9")


def test_an_image_that_could_not_be_judged_stays_unknown() -> None:
    failed = Verdict(kind=Class.OTHER, failure="too long")
    assert lift(failed) == failed


def test_an_image_whose_layers_disprove_torch_stays_ambiguous() -> None:
    doubt = Evidence("layers", Strength.WEAK, "no torch/version.py in its layers")
    assert lift(Verdict(kind=Class.AMBIGUOUS, evidence=(doubt,))) == Verdict(kind=Class.AMBIGUOUS, evidence=(doubt,))


def test_an_image_whose_layers_prove_torch_becomes_pytorch() -> None:
    proof = Evidence("layers", Strength.STRONG, "layer 3: torch/version.py is of torch 2.9.0")
    assert lift(Verdict(kind=Class.AMBIGUOUS, evidence=(proof,))).kind is Class.PYTORCH


def test_another_image_is_not_changed() -> None:
    assert lift(Verdict(kind=Class.OTHER), "corp/other:1") == Verdict(kind=Class.OTHER)


def test_an_image_without_details_gets_no_verdict() -> None:
    assert operators.lifted({}, [replace(TRAINER, details=None)], ("corp/trainer",)) == {}


def test_an_image_whose_names_cannot_be_read_becomes_unknown() -> None:
    bad = replace(TRAINER, references=(None,))  # type: ignore[arg-type]
    found = operators.lifted({bad.id: Verdict(kind=Class.OTHER)}, [bad], ("corp/trainer",))
    assert found[bad.id].failure


# In the plan.


def test_an_image_that_only_the_operator_recognises_is_evicted() -> None:
    decision = only(decide(TRAINER, rules=Policy(known=("corp/trainer",))))
    assert (decision.action, decision.reason, decision.verdict.evidence) == ("evict", "idle-ttl", (WORD,))


def test_without_it_the_same_image_is_kept() -> None:
    assert only(decide(TRAINER)).reason == "not-pytorch"


def test_it_wins_over_an_exception_among_the_known_names() -> None:
    base = image("b", "rocm/pytorch:latest-base", env={"PYTORCH_ROCM_ARCH": "gfx90a"})
    assert only(decide(base)).reason == "ambiguous"
    assert only(decide(base, rules=Policy(known=("rocm/pytorch",)))).action == "evict"


@pytest.mark.parametrize(
    ("rules", "reason"),
    [
        (Policy(known=("corp/trainer",), exclude=("corp/*",)), "excluded"),
        (Policy(known=("corp/trainer",), protect=("*:1",)), "protected-tag"),
        (Policy(known=("corp/trainer",), include=("team/*",)), "excluded"),
    ],
)
def test_whatever_keeps_a_pytorch_image_keeps_it(rules: Policy, reason: str) -> None:
    assert only(decide(TRAINER, rules=rules)).reason == reason


def test_keep_newest_counts_it() -> None:
    rules = Policy(known=("corp/trainer",), keep_newest=1)
    old, new = image("o", "corp/trainer:1.0"), image("n", "corp/trainer:1.1")
    assert evicted(decide(old, new, rules=rules)) == {old.id}


def test_it_does_not_change_an_image_that_could_not_be_inspected() -> None:
    unknown = model.Image(id="sha256:a", references=("corp/trainer:1",))
    assert only(decide(unknown, rules=Policy(known=("corp/trainer",)))).reason == "unknown"


def test_it_evicts_no_other_image() -> None:
    others = (image("p", "postgres:16"), pytorch_image("a", "team/a:latest"))
    assert evicted(decide(TRAINER, *others, rules=Policy(known=("corp/trainer",)))) == {TRAINER.id}
