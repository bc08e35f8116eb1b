"""Count how often the verdicts on a corpus are right, and list the wrong ones."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from agent.core.model import Class, Verdict
from agent.core.pytorch import classify
from tests.recognition.corpus import TRUTHS, Row

_RELEASE = re.compile(r"[0-9]+(?:\.[0-9]+)*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A row with the agent's verdict."""

    row: Row
    verdict: Verdict
    weight: float  # the weights of all rows of one image add up to 1

    @property
    def is_false(self) -> bool:
        """Whether an image without torch counts as PyTorch, which is the severe error."""
        return self.row.truth == "no" and self.verdict.kind is Class.PYTORCH

    @property
    def is_missed(self) -> bool:
        return self.row.truth != "no" and self.verdict.kind is not Class.PYTORCH

    def is_as_expected(self) -> bool:
        """Whether a fixture has the class, version and accelerator that it must have."""
        kept = self.verdict.kind is not Class.PYTORCH
        right = kept if self.row.verdict == "kept" else self.verdict.kind == self.row.verdict
        version = version_is(self) or not self.row.torch_version
        return bool(right and version and (accelerator_is(self) or not self.row.accelerator))


def judge(rows: Sequence[Row], *, together: bool = False) -> tuple[Judged, ...]:
    """Judge each image separately, or all `together` as on one host, so that lineage counts."""
    votes = Counter(row.name for row in rows)
    verdicts = classify.classify(row.image for row in rows) if together else {}
    return tuple(
        Judged(
            row=row,
            verdict=verdicts.get(row.image.id) or classify.classify([row.image])[row.image.id],
            weight=1 / votes[row.name],
        )
        for row in rows
    )


def version_is(one: Judged) -> bool | None:
    """Whether the version is right in the parts that both have; None if it is not reported or not known."""
    reported, truths = one.verdict.torch_version, one.row.torch_version
    if not reported or not truths:
        return None
    return any(_agree(_release(reported), _release(truth)) for truth in truths.split("|"))


def accelerator_is(one: Judged) -> bool | None:
    """Whether the accelerator is right: `cuda12` is right for cuda12.8. None if it is not reported or not known."""
    reported, truths = one.verdict.accelerator, one.row.accelerator
    if not reported or not truths:
        return None
    return any(f"{truth}.".startswith(f"{reported}.") for truth in truths.split("|"))


def _agree(reported: tuple[int, ...], truth: tuple[int, ...]) -> bool:
    return bool(reported) and all(one == other for one, other in zip(reported, truth, strict=False))


def _release(version: str) -> tuple[int, ...]:
    match = _RELEASE.match(version)
    return tuple(int(part) for part in match[0].split(".")) if match else ()


def lines(judged: Sequence[Judged]) -> Iterator[str]:
    """The figures, the most important first."""
    of = {truth: [one for one in judged if one.row.truth == truth] for truth in TRUTHS}
    real = [*of["yes"], *of["embeds"]]
    recall = _share(of["yes"])
    false, unsure = _count(of["no"], Class.PYTORCH), _count(of["yes"], Class.AMBIGUOUS)
    yield f"recall={recall:.3f} false_pytorch={false:g} ambiguous_true={unsure:g}"
    for truth in TRUTHS:
        kinds = " ".join(f"{kind}={_count(of[truth], kind):g}" for kind in Class)
        yield f"  truth {truth:7} images={sum(one.weight for one in of[truth]):g} {kinds}"
    yield f"  recall_with_embeds={_share(real):.3f}"
    recognised = [one for one in real if one.verdict.kind is not Class.OTHER]
    known = [one for one in recognised if one.row.torch_version]
    yield _rightness("torch_version", len(known), [version_is(one) for one in known])
    known = [one for one in recognised if one.row.accelerator]
    yield _rightness("accelerator", len(known), [accelerator_is(one) for one in known])


def errors(judged: Iterable[Judged]) -> Iterator[str]:
    """Each image that was judged wrongly, the severe errors first."""
    judged = tuple(judged)
    yield from (f"FALSE PYTORCH  {_described(one)}" for one in judged if one.is_false)
    for one in judged:
        if version_is(one) is False:
            yield f"WRONG VERSION  {one.verdict.torch_version}, not {one.row.torch_version}: {_described(one)}"
        if accelerator_is(one) is False:
            yield f"WRONG ACCELERATOR  {one.verdict.accelerator}, not {one.row.accelerator}: {_described(one)}"
    yield from (f"MISSED ({one.row.truth})  {_described(one)}" for one in judged if one.is_missed)
    unsure = (one for one in judged if one.row.truth == "no" and one.verdict.kind is Class.AMBIGUOUS)
    yield from (f"AMBIGUOUS WITHOUT TORCH  {_described(one)}" for one in unsure)


def _described(one: Judged) -> str:
    signs = "; ".join(sign.text for sign in one.verdict.evidence)
    return " ".join(filter(None, [one.verdict.kind, one.row.builder, one.row.name, f"[{signs}]"]))


def _count(judged: Iterable[Judged], kind: Class) -> float:
    return round(sum(one.weight for one in judged if one.verdict.kind is kind), 6)


def _share(judged: Sequence[Judged]) -> float:
    total = sum(one.weight for one in judged)
    return _count(judged, Class.PYTORCH) / total if total else 0.0


def _rightness(what: str, known: int, rights: Sequence[bool | None]) -> str:
    reported = [right for right in rights if right is not None]
    right = sum(reported)
    return f"  {what}: known={known} told={len(reported)} right={right} wrong={len(reported) - right}"
