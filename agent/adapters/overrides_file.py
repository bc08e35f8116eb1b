"""The JSON text of the file with pins and the pause. People edit it too, so each mistake is reported with its place."""

import json
from collections import Counter
from dataclasses import asdict
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from agent.core import units
from agent.core.policy import pins
from agent.core.policy.overrides import Overrides, Pin
from agent.core.protocol.payloads import Time

SHOWN = 120  # characters of an entry in a message
LONGEST = 1000  # characters of a reason: it is sent with each report


def _time(value: object) -> object:
    """Accept only a time as text: a number would count as seconds since 1970, and the pin would have expired."""
    at = units.parse_time(value) if isinstance(value, str) else value
    if at is None or isinstance(at, int | float):
        raise ValueError(f"{value!r} is not a time; write it like 2026-03-01T12:00:00Z")
    return at


_At = Annotated[Time, BeforeValidator(_time)]


_Text = Annotated[str, Field(max_length=LONGEST)]


class _Pin(BaseModel):
    model_config = ConfigDict(extra="forbid")

    id: Annotated[str, AfterValidator(pins.image_id)] = ""
    reference: Annotated[str, AfterValidator(pins.reference)] = ""
    at: _At
    until: _At | None = None
    reason: _Text = ""
    by: _Text = ""

    @model_validator(mode="after")
    def _names_an_image(self) -> "_Pin":
        if not self.id and not self.reference:
            raise ValueError("names no image; write a reference like team/pytorch:2.9, or an id")
        return self


class _Pause(BaseModel):
    model_config = ConfigDict(extra="forbid")

    at: _At
    until: _At | None = None
    reason: _Text = ""
    by: _Text = ""


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    pins: list[_Pin] = []
    pause: _Pause | None = None


def read(data: bytes) -> Overrides:
    """Parse the file. Raises RecursionError, and ValueError with the position and the text of the wrong entry."""
    try:
        document = json.loads(data, object_pairs_hook=_once_each, parse_constant=_no_constant)
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"is not valid JSON: {error}") from None
    if not isinstance(document, dict):
        raise ValueError('is not a JSON object; it begins with {"pins": [')
    try:
        return _overrides(_File.model_validate(document))
    except ValidationError as error:
        raise ValueError(_explain(error.errors(include_url=False)[0], document)) from None


def text(overrides: Overrides) -> str:
    pins = [_Pin(**asdict(pin)) for pin in overrides.pins]
    pause = None
    if overrides.paused and overrides.paused_at is not None:
        until, reason, by = overrides.paused_until, overrides.pause_reason, overrides.paused_by
        pause = _Pause(at=overrides.paused_at, until=until, reason=reason, by=by)
    return _File(pins=pins, pause=pause).model_dump_json(indent=2) + "\n"


def _overrides(file: _File) -> Overrides:
    pause = file.pause
    return Overrides(
        pins=tuple(Pin(**pin.model_dump()) for pin in file.pins),
        paused=pause is not None,
        paused_at=pause.at if pause else None,
        paused_until=pause.until if pause else None,
        pause_reason=pause.reason if pause else "",
        paused_by=pause.by if pause else "",
    )


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object. Raises ValueError for a repeated key: its first value would be lost silently."""
    repeated = [key for key, count in Counter(key for key, _ in pairs).items() if count > 1]
    if repeated:
        raise ValueError(f"the key {repeated[0]!r} is repeated in one object")
    return dict(pairs)


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not allowed in this file")


_PLAIN = {"extra_forbidden": "is an unknown key", "missing": "is missing", "model_type": "is not a JSON object"}


def _explain(error: Any, document: dict[str, Any]) -> str:
    where = [str(part) for part in error["loc"]]
    if len(where) > 1 and where[0] == "pins":
        number, pins = error["loc"][1], document["pins"]
        entry = json.dumps(pins[number], ensure_ascii=False)
        entry = entry if len(entry) <= SHOWN else f"{entry[:SHOWN]}..."
        where = [f"pin {number + 1} of {len(pins)}, {entry}", *where[2:]]
    what = _PLAIN.get(error["type"]) or error["msg"].removeprefix("Value error, ")
    return ": ".join([*where, what])
