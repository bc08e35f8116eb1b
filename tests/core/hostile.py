"""What strangers may put into an image: strategies for values of every kind, and details that cannot be read."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from hypothesis import strategies as st

from agent.core.model import Details, HistoryStep, Image
from tests.support.builders import NOW, make_id

ODD_TEXTS = (
    "",
    "\0",
    "\ud800",
    "\x1b[31m\x9b0m\u202e",
    "999999999w",
    "torch" * 20_000,
    "$" * 5_000,
    "RUN pip install torch==2.9.0",
    "RUN A=$A$A;" * 2_000 + "pip install torch$A",
)
TEXTS = st.text(max_size=20) | st.integers(0, len(ODD_TEXTS) - 1).map(ODD_TEXTS.__getitem__)  # short when printed
LABELS = st.dictionaries(TEXTS | st.sampled_from(["torchkeeper.keep", "torchkeeper.ttl"]), TEXTS, max_size=4)
VARIABLES = ["PYTORCH_VERSION", "PYTORCH_BUILD_VERSION", "CUDA_VERSION", "LD_LIBRARY_PATH", "ROCM_PATH"]
ENV = st.dictionaries(TEXTS | st.sampled_from(VARIABLES), TEXTS, max_size=4)
TIMES = st.none() | st.sampled_from(
    [datetime.min, datetime.max, datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC), NOW]  # noqa: DTZ901
)
SIZES = st.integers(0, 10**9) | st.sampled_from([-1, 2**63, 10**30, 10**400])

DETAILS = st.builds(
    Details,
    layers=st.lists(TEXTS | st.sampled_from(["sha256:base"]), max_size=4).map(tuple),
    parent=TEXTS | st.sampled_from([make_id("i0"), make_id("i1")]),
    created=TIMES,
    env=ENV,
    labels=LABELS,
    entrypoint=st.lists(TEXTS, max_size=2).map(tuple),
    command=st.lists(TEXTS, max_size=2).map(tuple),
    history=st.lists(st.builds(HistoryStep, TEXTS, SIZES), max_size=4).map(tuple),
)

# JSON with every type in every place; NaN and infinity cannot be written in it
NUMBERS = (
    st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from([2**62, 2**63, -(2**63), 10**30])
)
SCALARS = st.none() | st.booleans() | NUMBERS | TEXTS
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3))


def rows(fields: Mapping[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[dict[str, Any]]:
    """Rows with the right values in some fields, and anything, or nothing, in the others."""
    return st.fixed_dictionaries({}, optional={key: right | JSON for key, right in fields.items()})


class Poisoned:
    """Details that raise whatever is asked of them, as a bug in reading one image would."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def __getattr__(self, name: str) -> Any:
        raise self._error


def poisoned(name: str, error: Exception) -> Image:
    """An image of the team's whose details raise."""
    details: Any = Poisoned(error)
    return Image(id=make_id(name), references=(f"team/{name}:1",), origin=f"team/{name}@sha256:1", details=details)
