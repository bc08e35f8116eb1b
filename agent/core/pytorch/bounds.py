"""How much of one image is read: what stands in it comes from strangers, and may be as long as they like.

Lines of history and variables that are too long are left out whole, never in part, and `Details.left_out` says so. Such
an image is `ambiguous` at most (`classify.verdicts`): whatever stood there, leaving it out makes no image evictable.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from agent.core import text
from agent.core.model import Details, HistoryStep
from agent.core.pytorch import build_history

# No builder and no engine makes more of these: an image with more is not judged at all.
LAYERS = 500  # overlayfs stacks no more
STEPS = 2_000  # lines of history; 515 public images have up to 60
VARIABLES = 2_000
LABELS = 10_000
NAMES = 1_000  # tags and digests, about 20 microseconds each; CI that tags an image for each commit makes hundreds

# What is beyond these is left out. With all of it, one image costs about 50 ms, once.
HISTORY = 250_000  # characters of all lines; 515 public images have up to 38,000
ENV = 250_000  # characters of all variables; Linux takes no single one of more than 131,072 bytes
LABEL = 4_000  # characters of one label
LISTING = 40_000  # characters of a label that lists all packages; some 1,500 of them
WORDS = 10  # of the entrypoint, and of the command
WORD = 1_000  # characters
ID = 200  # characters of a layer or of the parent; an engine's have 71
NAME = 600  # characters of a tag or a digest reference; an engine's have under 400

LISTING_LABELS = frozenset({"run.cog.pip_freeze"})
OUR_LABELS = "torchkeeper."  # they keep an image, so they are cut but never left out


def bounded(details: Details) -> Details:
    """The details without what is too long to read. Raises ValueError where there is too much of anything."""
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
        left_out=tuple(dict.fromkeys((*details.left_out, *(what for what, found in too_long.items() if found)))),
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
    """The lines that fit, the others without their text; and whether all that speak of torch are there."""
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
