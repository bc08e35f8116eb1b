"""How often the verdicts on a corpus are right, and where not."""

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
    """A row, and what the agent says of it."""

    row: Row
    verdict: Verdict
    weight: float  # the rows of one image have one vote together

    @property
    def is_false(self) -> bool:
        """The severe error: called PyTorch without torch in it."""
        return self.row.truth == "no" and self.verdict.kind is Class.PYTORCH

    @property
    def is_missed(self) -> bool:
        return self.row.truth != "no" and self.verdict.kind is not Class.PYTORCH

    def is_as_expected(self) -> bool:
        """Of a fixture: whether it is called what it must be called, and what is known of it is told."""
        kept = self.verdict.kind is not Class.PYTORCH
        right = kept if self.row.verdict == "kept" else self.verdict.kind == self.row.verdict
        version = version_is(self) or not self.row.torch_version
        return bool(right and version and (accelerator_is(self) or not self.row.accelerator))


def judge(rows: Sequence[Row], *, together: bool = False) -> tuple[Judged, ...]:
    """Each image as on a host that has only this one, or all as on one host, so that lineage counts."""
    votes = Counter(row.name for row in rows)
    found = classify.classify(row.image for row in rows) if together else {}
    return tuple(
        Judged(
            row=row,
            verdict=found.get(row.image.id) or classify.classify([row.image])[row.image.id],
            weight=1 / votes[row.name],
        )
        for row in rows
    )


def version_is(one: Judged) -> bool | None:
    """Whether the version told is right, as far as both are precise; None where none is told or known."""
    told, truths = one.verdict.torch_version, one.row.torch_version
    if not told or not truths:
        return None
    return any(_agree(_release(told), _release(truth)) for truth in truths.split("|"))


def accelerator_is(one: Judged) -> bool | None:
    """The same for the accelerator: `cuda12` is right for cuda12.8."""
    told, truths = one.verdict.accelerator, one.row.accelerator
    if not told or not truths:
        return None
    return any(f"{truth}.".startswith(f"{told}.") for truth in truths.split("|"))


def _agree(told: tuple[int, ...], truth: tuple[int, ...]) -> bool:
    return bool(told) and all(one == other for one, other in zip(told, truth, strict=False))


def _release(version: str) -> tuple[int, ...]:
    match = _RELEASE.match(version)
    return tuple(int(part) for part in match[0].split(".")) if match else ()


def lines(judged: Sequence[Judged]) -> Iterator[str]:
    """The figures: first what counts most, then the details."""
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
    yield _told("torch_version", len(known), [version_is(one) for one in known])
    known = [one for one in recognised if one.row.accelerator]
    yield _told("accelerator", len(known), [accelerator_is(one) for one in known])


def errors(judged: Iterable[Judged]) -> Iterator[str]:
    """Each image about which something is wrong, the severe ones first."""
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


def _told(what: str, known: int, rights: Sequence[bool | None]) -> str:
    told = [right for right in rights if right is not None]
    return f"  {what}: known={known} told={len(told)} right={sum(told)} wrong={len(told) - sum(told)}"
