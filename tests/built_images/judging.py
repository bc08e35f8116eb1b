"""The verdicts on what was built, held against what is in it."""

from collections.abc import Iterable, Sequence

from agent.core import model
from agent.core.pytorch.classify import classify
from tests.built_images import record
from tests.built_images.case import Shows
from tests.built_images.cases import CASES, limits

WANTED = 0.95  # of those that surely install torch in a visible line
_LIMITS = {f"limit: {name}" for name in limits.PAIRS}


def false_ones(rows: Iterable[record.Recorded]) -> list[record.Recorded]:
    """Images without torch that are called pytorch, but for those that nobody can tell apart from others with it."""
    return [row for row in rows if not row.has_torch and row.case not in _LIMITS and _is_pytorch(row)]


def false_together(rows: Sequence[record.Recorded]) -> list[record.Recorded]:
    """The same of images that are on one host, where one may be built on another."""
    verdicts = classify([row.image for row in rows])
    called = [row for row in rows if verdicts[row.image.id].kind is model.Class.PYTORCH]
    return [row for row in called if not row.has_torch and row.case not in _LIMITS]


def sure_ones(rows: Iterable[record.Recorded]) -> list[record.Recorded]:
    """Images with torch, of which a visible line proves it."""
    return [row for row in rows if row.has_torch and CASES[row.case].shows is Shows.SURELY]


def missed(rows: Iterable[record.Recorded]) -> list[record.Recorded]:
    """Those of `sure_ones` that are not called pytorch."""
    return [row for row in sure_ones(rows) if not _is_pytorch(row)]


def names(rows: Iterable[record.Recorded]) -> list[str]:
    """How a failing test names them."""
    return [f"{row.case} ({row.builder})" for row in rows]


def report(rows: Sequence[record.Recorded]) -> str:
    """The counts, and each error with its history and its evidence."""
    false, lost = false_ones(rows), missed(rows)
    counts = (
        f"{len(rows)} images, {sum(row.has_torch for row in rows)} with torch, {len(sure_ones(rows))} of them surely"
    )
    errors = [*(("FALSE", row) for row in false), *(("MISSED", row) for row in lost)]
    lines = [f"{counts}; false: {len(false)}, missed: {len(lost)}"]
    for word, row in errors:
        signs = [sign.text for sign in _verdict(row).evidence]
        lines += [f"{word} {row.case} ({row.builder})", *(f"    {line}" for line in row.history), f"  because {signs}"]
    return "\n".join(lines)


def _is_pytorch(row: record.Recorded) -> bool:
    return _verdict(row).kind is model.Class.PYTORCH


def _verdict(row: record.Recorded) -> model.Verdict:
    return classify([row.image])[row.image.id]
