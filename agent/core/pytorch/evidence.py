"""Collect the signs of PyTorch in an image's configuration and history, by kind and strength."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from agent.core import model
from agent.core.images.versions import plain_version
from agent.core.pytorch import build_history, entries, inputs
from agent.core.pytorch.entries import LISTS
from agent.core.pytorch.shell.facts import INDEX
from agent.core.pytorch.signs import make_evidence

_STRONG, _MEDIUM, _WEAK = model.Strength.STRONG, model.Strength.MEDIUM, model.Strength.WEAK
_MEANS_NO = frozenset({"none", "null", "false", "0"})

_ARGUMENT = "build argument "  # the beginning of a hint from the history
_BACKEND = "--torch-backend="
# The cause of an index address, a backend or a build argument, in ENV or in the history: the build is prepared for
# torch, whether it installs torch or not.
_INTENT = "intent"
_PROGRAM_WORDS = 6  # words of entrypoint and command; later words are arguments of a program

_VARIABLES = frozenset(entry.name for entry in LISTS.variables)
_LABELS = frozenset(entry.name for entry in LISTS.labels)
_STARRED = tuple(entry for entry in LISTS.labels if entry.name.endswith("*"))
_PROGRAMS = {entry.word: entry for entry in LISTS.programs if entry.word is not None}
_MODULES = {entry.module: entry for entry in LISTS.programs if entry.module is not None}
_FROZEN = tuple((entry.name, entry.line) for entry in LISTS.labels if entry.line is not None)


@dataclass(frozen=True, slots=True)
class ImageEvidence:
    """The evidence in one image's configuration and history. It never changes for an image ID."""

    evidence: tuple[model.Evidence, ...]
    installs: build_history.TorchInstalls
    left_out: tuple[str, ...] = ()  # the parts with text that was too long to read: "ENV", "history"


NOTHING = ImageEvidence((), build_history.TorchInstalls())


def gather(details: model.Details) -> ImageEvidence:
    """All evidence in an image's ENV, labels, entrypoint and history. The details must be within `bounds`."""
    installed = build_history.scan(details.history, details.env)
    evidence = (
        *_of_env(details, installed),
        *_of_labels(details),
        *_of_history(installed),
        *_of_entrypoint(details),
    )
    left_out = details.left_out if installed.is_whole else (*details.left_out, "history")
    return ImageEvidence(evidence, installed, tuple(dict.fromkeys(left_out)))


def _normalised(value: str) -> str:
    """A value in lower case without quotes; "" if it means no."""
    plain = value.strip(" \"'").lower()
    return "" if plain in _MEANS_NO else plain


def _of_env(details: model.Details, installed: build_history.TorchInstalls) -> Iterator[model.Evidence]:
    reported: set[str] = set()  # causes of earlier signs: another variable with the same cause adds nothing
    present = details.env.keys() & _VARIABLES  # mostly empty, and cheap to compute
    for entry in (entry for entry in LISTS.variables if entry.name in present) if present else ():
        value = _normalised(details.env.get(entry.name, ""))
        if value and value.startswith(entry.begins or "") and (entry.has or "") in value:
            if entry.fact not in reported:
                # Show only the part that matched: the rest of an address may contain a password.
                shown = f" has {entry.has}" if entry.has else f"={details.env[entry.name]}"
                is_input = entry.input and not (installed.torch or installed.doubts) and inputs.other_use(details)
                strength, fact = (_MEDIUM, _INTENT) if is_input else (entry.strength, entry.fact or "")
                yield make_evidence("env", strength, f"ENV {entry.name}{shown}", fact)
            reported |= {entry.fact} if entry.fact else set()
    for path in LISTS.values:
        variable = next((name for name, value in details.env.items() if path.has in value), None)
        if variable is not None:
            yield make_evidence("env", path.strength, f"ENV {variable} has {path.has}", path.fact or "")


def _of_labels(details: model.Details) -> Iterator[model.Evidence]:
    present = details.labels.keys() & _LABELS
    for entry in LISTS.labels if present else _STARRED:
        name = _label(entry, details.labels)
        shown = _matched(entry, details.labels[name]) if name is not None else ""
        if shown and (entry.beside is None or entry.beside in details.labels):
            yield make_evidence("label", entry.strength, f"label {name}{shown}", entry.fact or "")


def _label(entry: entries.Label, labels: Mapping[str, str]) -> str | None:
    """The name of the image's first label that matches the entry; None if there is none."""
    begins = entry.name.removesuffix("*")
    if begins != entry.name:
        return next((name for name in labels if name.startswith(begins)), None)
    return entry.name if entry.name in labels else None


def _matched(entry: entries.Label, value: str) -> str:
    """The part of a label's value that is the sign, as text after the label's name; "" if the value does not match."""
    plain = _normalised(value)
    if not plain or (entry.value is not None and plain != entry.value):
        return ""
    if not plain.startswith(entry.begins or "") or (entry.has or "") not in plain:
        return ""
    if entry.line is None:
        return f"={value}"
    line = next((line for line in value.splitlines() if line.startswith(entry.line)), "")
    return f" has {line}" if line else ""


def _of_history(installed: build_history.TorchInstalls) -> Iterator[model.Evidence]:
    """Only commands count: an ENV line in the history has the same cause as the variable itself."""
    if installed.torch:
        yield make_evidence("history", _STRONG, f"history: {installed.torch}")
    for hint in installed.hints:
        yield make_evidence("history", _MEDIUM, f"history: {hint}", _INTENT if _is_intent(hint) else "")
    for doubt in installed.doubts:
        yield make_evidence("history", _WEAK, f"history: {doubt}")


def _is_intent(hint: str) -> bool:
    """Whether a hint shows only that the build was prepared for torch."""
    return hint == INDEX or hint.startswith((_ARGUMENT, _BACKEND))


def _of_entrypoint(details: model.Details) -> Iterator[model.Evidence]:
    words = " ".join((*details.entrypoint, *details.command)[:_PROGRAM_WORDS])[:1000].split()
    for word in words[:_PROGRAM_WORDS]:
        entry = _PROGRAMS.get(word.rpartition("/")[2]) or _module(word)
        if entry is not None:
            yield make_evidence("entrypoint", entry.strength, f"entrypoint {word}", entry.fact or "")
            return


def _module(word: str) -> entries.Program | None:
    return next((entry for begins, entry in _MODULES.items() if word.startswith(begins)), None)


def frozen_version(labels: Mapping[str, str]) -> str | None:
    """torch's version in a label that lists the installed packages in pip's format: `torch==2.1.0`."""
    listed = ((begins, line) for name, begins in _FROZEN for line in labels.get(name, "").splitlines())
    lines = (line for begins, line in listed if line.startswith(begins))
    return next((plain_version(line.partition("==")[2]) for line in lines), None)
