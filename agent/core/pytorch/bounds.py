"""Limits on how much of one image is read. Strangers write its contents, so they may be of any length.

History lines and variables beyond the limits are left out as a whole, never shortened, and `Details.left_out` records
that. Such an image is `ambiguous` at most (`classify.verdicts`), so leaving something out never makes an image
evictable.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from agent.core import text
from agent.core.model import Details, HistoryStep
from agent.core.pytorch import build_history

# No builder and no engine exceeds these limits. An image that does is not judged at all.
LAYERS = 500  # the most that overlayfs stacks
STEPS = 2_000  # lines of history; 515 public images have up to 60
VARIABLES = 2_000
LABELS = 10_000
NAMES = 1_000  # tags and digests, about 20 microseconds each; CI that tags an image for each commit makes hundreds

# Text beyond these limits is left out. Judging an image that reaches all of them takes about 50 ms, once.
HISTORY = 250_000  # characters of all lines; 515 public images have up to 38,000
ENV = 250_000  # characters of all variables; Linux accepts at most 131,072 bytes for one
LABEL = 4_000  # characters of one label
LISTING = 40_000  # characters of a label that lists all packages: about 1,500 packages
WORDS = 10  # words of the entrypoint, and of the command
WORD = 1_000  # characters of one such word
ID = 200  # characters of the ID of a layer or of the parent; engines use 71
NAME = 600  # characters of a tag or a digest reference; engines use fewer than 400

LISTING_LABELS = frozenset({"run.cog.pip_freeze"})
OUR_LABELS = "torchkeeper."  # they can keep an image, so they may be shortened but never left out


def bounded(details: Details) -> Details:
    """The details without the text that is too long.

    Raises ValueError if the image exceeds a limit on numbers or IDs.
    """
    _refuse_more("layers", len(details.layers), LAYERS)
    _refuse_more("lines of history", len(details.history), STEPS)
    _refuse_more("variables", len(details.env), VARIABLES)
    _refuse_more("labels", len(details.labels), LABELS)
    if any(len(name) > ID for name in (details.parent, *details.layers)):
        raise ValueError(f"the ID of its parent or of a layer has more than {ID} characters")
    env = dict(_short_variables(details.env))
    history, is_whole = _short_history(details.history)
    too_long = {"ENV": len(env) < len(details.env), "history": not is_whole}
    return replace(
        details,
        env=env,
        labels=dict(_short_labels(details.labels)),
        entrypoint=tuple(word[:WORD] for word in details.entrypoint[:WORDS]),
        command=tuple(word[:WORD] for word in details.command[:WORDS]),
        history=history,
        left_out=tuple(dict.fromkeys((*details.left_out, *(part for part, is_long in too_long.items() if is_long)))),
    )


def _refuse_more(what: str, count: int, most: int) -> None:
    if count > most:
        raise ValueError(f"it has {count} {what}, and more than {most} are not read")


def _short_variables(env: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    room = ENV
    for name, value in env.items():
        length = len(name) + len(value)
        if length <= room:
            room -= length
            yield name, value


def _short_labels(labels: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for name, value in labels.items():
        if len(name) <= LABEL and (len(value) <= LABEL or name.startswith(OUR_LABELS)):
            yield name, text.shortened(value, LABEL)
        elif name in LISTING_LABELS and len(value) <= LISTING:
            yield name, value


def _short_history(history: Iterable[HistoryStep]) -> tuple[tuple[HistoryStep, ...], bool]:
    """The history, with empty text for each line that does not fit; and whether no line about torch was emptied."""
    room, steps, is_whole = HISTORY, [], True
    for step in history:
        length = len(step.created_by)
        if length <= room:
            room -= length
            steps.append(step)
        else:
            steps.append(HistoryStep("", step.size_bytes))
            is_whole = is_whole and not build_history.is_read(step.created_by)
    return tuple(steps), is_whole
