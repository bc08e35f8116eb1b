"""What speaks for an image being a PyTorch image: signs, by family and strength."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from agent.core import model
from agent.core.pytorch import build_history, entries, inputs
from agent.core.pytorch.entries import LISTS
from agent.core.pytorch.facts import INDEX
from agent.core.pytorch.signs import sign
from agent.core.pytorch.versions import plain_version

_STRONG, _MEDIUM, _WEAK = model.Strength.STRONG, model.Strength.MEDIUM, model.Strength.WEAK
_SAID_NOTHING = frozenset({"none", "null", "false", "0"})

_ARGUMENT = "build argument "  # begins a hint of a history
_BACKEND = "--torch-backend="
# The fact of an index address, a backend or a build argument, in ENV or in the history: what a build is set up for,
# whether it installs torch or not.
_INTENT = "intent"
_PROGRAM_WORDS = 6  # words of entrypoint and command; what comes later are a program's arguments

_VARIABLES = frozenset(entry.name for entry in LISTS.variables)
_LABELS = frozenset(entry.name for entry in LISTS.labels)
_STARRED = tuple(entry for entry in LISTS.labels if entry.name.endswith("*"))
_PROGRAMS = {entry.word: entry for entry in LISTS.programs if entry.word is not None}
_MODULES = {entry.module: entry for entry in LISTS.programs if entry.module is not None}
_FROZEN = tuple((entry.name, entry.line) for entry in LISTS.labels if entry.line is not None)


@dataclass(frozen=True, slots=True)
class Findings:
    """What the configuration and history of one image say: the same for as long as its ID is the same."""

    evidence: tuple[model.Evidence, ...]
    installs: build_history.Installs
    left_out: tuple[str, ...] = ()  # what was too long to read


NOTHING = Findings((), build_history.Installs())


def gather(details: model.Details) -> Findings:
    """All evidence in an image's ENV, labels, entrypoint and history, which are within `bounds`."""
    installed = build_history.scan(details.history, details.env)
    found = (
        *_of_env(details, installed),
        *_of_labels(details),
        *_of_history(installed),
        *_of_entrypoint(details),
    )
    left_out = details.left_out if installed.is_whole else (*details.left_out, "history")
    return Findings(found, installed, tuple(dict.fromkeys(left_out)))


def _said(value: str) -> str:
    """A value in lower case without quotes; "" where it says no."""
    plain = value.strip(" \"'").lower()
    return "" if plain in _SAID_NOTHING else plain


def _of_env(details: model.Details, installed: build_history.Installs) -> Iterator[model.Evidence]:
    shared: set[str] = set()  # facts that a variable has told: the others that tell the same are no news
    here = details.env.keys() & _VARIABLES  # mostly none, and that is cheap to see
    for entry in (entry for entry in LISTS.variables if entry.name in here) if here else ():
        value = _said(details.env.get(entry.name, ""))
        if value and value.startswith(entry.begins or "") and (entry.has or "") in value:
            if entry.fact not in shared:
                # Beside what was looked for, an address may have a password in it.
                told = f" has {entry.has}" if entry.has else f"={details.env[entry.name]}"
                is_input = entry.input and not (installed.torch or installed.doubts) and inputs.other_use(details)
                strength, fact = (_MEDIUM, _INTENT) if is_input else (entry.strength, entry.fact or "")
                yield sign("env", strength, f"ENV {entry.name}{told}", fact)
            shared |= {entry.fact} if entry.fact else set()
    for path in LISTS.values:
        named = next((name for name, value in details.env.items() if path.has in value), None)
        if named is not None:
            yield sign("env", path.strength, f"ENV {named} has {path.has}", path.fact or "")


def _of_labels(details: model.Details) -> Iterator[model.Evidence]:
    here = details.labels.keys() & _LABELS
    for entry in LISTS.labels if here else _STARRED:
        name = _label(entry, details.labels)
        told = _told(entry, details.labels[name]) if name is not None else ""
        if told and (entry.beside is None or entry.beside in details.labels):
            yield sign("label", entry.strength, f"label {name}{told}", entry.fact or "")


def _label(entry: entries.Label, labels: Mapping[str, str]) -> str | None:
    """The name of the image's label that an entry means, of several the first; None where it has none."""
    begins = entry.name.removesuffix("*")
    if begins != entry.name:
        return next((name for name in labels if name.startswith(begins)), None)
    return entry.name if entry.name in labels else None


def _told(entry: entries.Label, value: str) -> str:
    """What of a label's value is the sign; "" where it is none."""
    said = _said(value)
    if not said or (entry.value is not None and said != entry.value):
        return ""
    if not said.startswith(entry.begins or "") or (entry.has or "") not in said:
        return ""
    if entry.line is None:
        return f"={value}"
    line = next((line for line in value.splitlines() if line.startswith(entry.line)), "")
    return f" has {line}" if line else ""


def _of_history(installed: build_history.Installs) -> Iterator[model.Evidence]:
    """Only what was run: an ENV line in the history is the same fact as the variable itself, not a second one."""
    if installed.torch:
        yield sign("history", _STRONG, f"history: {installed.torch}")
    for hint in installed.hints:
        yield sign("history", _MEDIUM, f"history: {hint}", _INTENT if _is_intent(hint) else "")
    for doubt in installed.doubts:
        yield sign("history", _WEAK, f"history: {doubt}")


def _is_intent(hint: str) -> bool:
    """Whether a hint shows only what a build was set up for."""
    return hint == INDEX or hint.startswith((_ARGUMENT, _BACKEND))


def _of_entrypoint(details: model.Details) -> Iterator[model.Evidence]:
    words = " ".join((*details.entrypoint, *details.command)[:_PROGRAM_WORDS])[:1000].split()
    for word in words[:_PROGRAM_WORDS]:
        entry = _PROGRAMS.get(word.rpartition("/")[2]) or _module(word)
        if entry is not None:
            yield sign("entrypoint", entry.strength, f"entrypoint {word}", entry.fact or "")
            return


def _module(word: str) -> entries.Program | None:
    return next((entry for begins, entry in _MODULES.items() if word.startswith(begins)), None)


def frozen_version(labels: Mapping[str, str]) -> str | None:
    """The torch that a label lists among what is installed: `torch==2.1.0` as pip writes it."""
    told = ((begins, line) for name, begins in _FROZEN for line in labels.get(name, "").splitlines())
    lines = (line for begins, line in told if line.startswith(begins))
    return next((plain_version(line.partition("==")[2]) for line in lines), None)
