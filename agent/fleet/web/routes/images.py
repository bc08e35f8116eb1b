"""Images across the fleet."""

from typing import Annotated, Any

from pydantic import Field

from agent.fleet.history.queries import images as queries
from agent.fleet.history.queries import values
from agent.fleet.history.reading import read
from agent.fleet.web import documents, problems
from agent.fleet.web.parameters import Flag, Page, Sheet, Text
from agent.fleet.web.routing import Asked, Route


class ImagesQuery(Page, Sheet):
    sort: Annotated[queries.Sort, Field(description="what the largest comes first of; bytes: estimated_bytes")] = (
        "bytes"
    )
    q: Annotated[Text, Field(description="a part of a name or of the ID")] = ""
    all: Annotated[Flag, Field(description="with images that are not PyTorch on any host")] = False


async def images(asked: Asked[ImagesQuery]) -> documents.Images:
    query = asked.query
    wanted = queries.Filter(q=query.q, every=query.all, sort=query.sort)
    incomplete = asked.services.incomplete()
    found = await read(
        asked.services.database,
        lambda connection: queries.page(connection, wanted, query.after, query.limit, asked.now),
    )
    return found.model_copy(update={"incomplete_hosts": incomplete})


async def image(asked: Asked[Any]) -> documents.ImageDetail:
    named = asked.path["image"]
    try:
        digits = values.image_id(named)
    except ValueError as error:
        raise problems.bad_value("image", str(error)) from None
    incomplete = asked.services.incomplete()
    found = await read(asked.services.database, lambda connection: queries.detail(connection, digits, asked.now))
    if found is None:
        raise problems.not_found("image", named)
    return found.model_copy(update={"incomplete_hosts": incomplete})


ROUTES = (
    Route(
        path="/api/images",
        summary="The images that hosts have, by their ID",
        answer=documents.Images,
        handle=images,
        query=ImagesQuery,
        rows="images",
    ),
    Route(
        path="/api/images/{image}",
        summary="One image, by its ID or at least its first 12 digits: its hosts and its decisions",
        answer=documents.ImageDetail,
        handle=image,
    ),
)
