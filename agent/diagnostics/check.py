"""One finding of `torchkeeper check`."""

from dataclasses import asdict, dataclass
from typing import Any

TIMEOUT = 10.0  # seconds for one check


@dataclass(frozen=True, slots=True)
class Check:
    """One finding. `hint` says what to do; "" if nothing has to be done."""

    name: str
    ok: bool
    detail: str
    hint: str = ""

    def document(self) -> dict[str, Any]:
        return asdict(self)
