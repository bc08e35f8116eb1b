"""The CUDA version in a build argument: `ARG CUDA_VERSION=12.8`, `RUN |1 CUDA_VERSION=12.8 /bin/sh -c ...`.

It is used only if ENV, names and the wheel index show no accelerator. A build for CPUs may have the argument, too, so
it is ignored if anything names another accelerator, or a platform other than amd64.
"""

import re
from collections.abc import Iterator

from agent.core import model
from agent.core.images import tags

# The patterns are bounded, and each is tried at one position: a line may be 100 kB long, and hostile.
_ARG = re.compile(r"(?:/bin/sh -c #\(nop\)\s{1,9})?ARG\s(.{0,500})", re.DOTALL)
_RUN = re.compile(r"(?:RUN )?\|[0-9]{1,4} (.{0,4000}?) (?:/usr)?/bin/(?:sh|bash|ash)(?!\w)", re.DOTALL)
_NAME = "CUDA_VERSION"
_NUMBER = re.compile(r"((?:[89]|1[0-9])(?:\.[0-9]{1,2})?)(?![0-9])")
_SWITCH = re.compile(r"(?:(?:USE|WITH|INSTALL|ENABLE)_)?(?:CUDA|GPU)(?:_ENABLED)?")
_OFF = frozenset({"", "0", "false", "no", "off", "none"})
_PLATFORM = ("TARGETPLATFORM", "TARGETARCH")
_OTHERS = re.compile("cpu|rocm|[xhn]pu|gaudi|neuron")  # the name of every other accelerator contains one of these
_LONGEST_VALUE = 1_000  # characters of a variable that are examined


def accelerator(details: model.Details) -> str | None:
    """`cuda12.8`, from the last line that sets the argument; None if its value is empty or contradicted."""
    for step in reversed(details.history):
        if _NAME in step.created_by:
            arguments = dict(_arguments(step.created_by))
            if _NAME in arguments:
                match = _NUMBER.match(arguments[_NAME])
                return f"cuda{match[1]}" if match and not _contradicted(arguments, details) else None
    return None


def _arguments(line: str) -> Iterator[tuple[str, str]]:
    """Each name with its value, or with the first word of its value if that contains spaces."""
    match = _ARG.match(line) or _RUN.match(line)
    for word in match[1].split() if match else ():
        name, equals, value = word.partition("=")
        if equals:
            yield name, value.strip("\"'")


def _contradicted(arguments: dict[str, str], details: model.Details) -> bool:
    """Whether CUDA is switched off, or another platform or accelerator is named."""
    off = any(_SWITCH.fullmatch(name) and value.lower() in _OFF for name, value in arguments.items())
    foreign = any("amd64" not in arguments[name] for name in _PLATFORM if arguments.get(name))
    hidden = details.env.get("NVIDIA_VISIBLE_DEVICES", "all").lower() in ("none", "void", "")
    return off or foreign or hidden or any(_is_other(value) for value in (*arguments.values(), *details.env.values()))


def _is_other(value: str) -> bool:
    text = value[:_LONGEST_VALUE].lower()
    named = tags.accelerator(text) if _OTHERS.search(text) else None
    return named is not None and not named.startswith("cuda")
