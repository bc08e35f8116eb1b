"""The parameters of the routes, as models: requests are checked against them, and the OpenAPI document names them."""

from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Annotated, Any, Literal, TypeVar

from aiohttp import web
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, WithJsonSchema

from agent.core import text, units
from agent.fleet.history.queries import values
from agent.fleet.web import problems

Q = TypeVar("Q", bound="Query")

PAGE = 100  # rows of a page, if a request does not say
LARGEST_PAGE = 1000
LARGEST_SHEET = 100_000  # rows of a CSV file


def _no_control(value: str) -> str:
    """Refuse what no name has and PostgreSQL does not take."""
    if not value.isprintable():
        raise ValueError("has a control character")
    return value


def _flag(value: object) -> object:
    if value in ("true", "false"):
        return value == "true"
    raise ValueError("is neither true nor false")


def _moment(value: object) -> object:
    """A time, or how long ago. Raises ValueError, whose message says what to write."""
    written = str(value)
    if (at := units.parse_time(written)) is not None:
        return at
    try:
        return units.parse_duration(written)
    except ValueError:
        raise ValueError("is neither a time like 2026-03-01T12:00:00Z nor a duration like 7d") from None


Text = Annotated[str, AfterValidator(_no_control), Field(max_length=500)]
Flag = Annotated[bool, BeforeValidator(_flag)]
Moment = Annotated[
    datetime | timedelta,
    BeforeValidator(_moment),
    WithJsonSchema({"type": "string", "examples": ["2026-03-01T12:00:00Z", "7d"]}),
]
Duration = Annotated[
    timedelta,
    BeforeValidator(units.parse_duration),
    WithJsonSchema({"type": "string", "examples": ["90s", "12h", "7d"]}),
]
ImageId = Annotated[
    str,
    AfterValidator(values.image_id),
    WithJsonSchema({"type": "string", "description": "an image ID, or its first 12 digits or more"}),
]
Format = Annotated[Literal["json", "csv"], Field(description="csv: the same as `Accept: text/csv`")]


class Query(BaseModel):
    """The parameters of one route. An empty value counts as none."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Page(Query):
    limit: Annotated[int, Field(ge=1, le=LARGEST_SHEET, description=f"at most {LARGEST_PAGE}; more for CSV")] = PAGE
    after: Annotated[Text, Field(description="`next` of the page before")] = ""


class Sheet(Query):
    """Of a route that answers with a table, too."""

    format: Format = "json"


def resolve(value: datetime | timedelta | None, now: datetime) -> datetime | None:
    """The time that a Moment means."""
    if not isinstance(value, timedelta):
        return value
    return now - value


def read(model: type[Q], request: web.Request) -> Q:
    """The parameters of a request. Raises Refusal, which names each that is unknown or has a wrong value."""
    given: dict[str, str] = {}
    for name, value in request.query.items():
        if name in given:
            raise problems.bad_value(name, "is given twice")
        if value or name not in model.model_fields:
            given[name] = value
    try:
        return model.model_validate(given)
    except ValidationError as error:
        lines = [_explain(model, item) for item in error.errors(include_url=False, include_input=False)]
        raise problems.Refusal(HTTPStatus.BAD_REQUEST, "; ".join(lines)) from None


def _explain(model: type[Query], item: Any) -> str:
    name = ".".join(str(part) for part in item["loc"][:1])
    if item["type"] == "extra_forbidden":
        known = ", ".join(model.model_fields) or "none"
        return f"{text.quoted(name)}: is an unknown parameter; known here: {known}"
    return f"{name}: {str(item['msg']).removeprefix('Value error, ')}"
