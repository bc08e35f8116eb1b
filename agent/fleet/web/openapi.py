"""The OpenAPI document, made from the routes and the models of their documents."""

from collections.abc import Iterable
from typing import Any

from pydantic.json_schema import models_json_schema

from agent.fleet.web import documents, problems, sheets
from agent.fleet.web.documents import Document
from agent.fleet.web.routing import Route

_REF = "#/components/schemas/{model}"

STREAMS: dict[str, Any] = {
    "/api/stream": ("Changes as server-sent events", "text/event-stream"),
    "/metrics": ("Figures for Prometheus", "text/plain"),
    "/api/openapi.json": ("This document", "application/json"),
}  # routes whose answers are no document of a model


def document(routes: Iterable[Route], version: str) -> dict[str, Any]:
    listed = list(routes)
    models: dict[type[Document], None] = dict.fromkeys(model for route in listed for model in route.answers)
    models[documents.Problem] = None
    names, schemas = models_json_schema(
        [(model, "serialization") for model in models], by_alias=True, ref_template=_REF
    )
    refs = {model: names[model, "serialization"] for model in models}
    paths = {route.path: {"get": _operation(route, refs)} for route in listed}
    return {
        "openapi": "3.1.0",
        "info": {"title": "torchkeeper monitor", "version": version},
        "paths": paths | {path: {"get": _stream(*entry)} for path, entry in STREAMS.items()},
        "components": {"schemas": schemas["$defs"]},
    }


def _operation(route: Route, refs: dict[Any, Any]) -> dict[str, Any]:
    choices = [refs[model] for model in route.answers]
    content = {"application/json": {"schema": choices[0] if len(choices) == 1 else {"anyOf": choices}}}
    if route.rows:
        content[sheets.CONTENT_TYPE] = {"schema": {"type": "string"}}
    return {
        "summary": route.summary,
        "parameters": [*_path_parameters(route), *_query_parameters(route)],
        "responses": {
            "200": {"description": "The answer", "content": content},
            **{code: {"description": why, "content": content} for code, why in route.also},
            "default": {
                "description": "An error",
                "content": {problems.CONTENT_TYPE: {"schema": refs[documents.Problem]}},
            },
        },
    }


def _path_parameters(route: Route) -> list[dict[str, Any]]:
    names = [part[1:-1] for part in route.path.split("/") if part.startswith("{")]
    return [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names]


def _query_parameters(route: Route) -> list[dict[str, Any]]:
    schema = route.query.model_json_schema()
    required = schema.get("required", [])
    return [
        {"name": name, "in": "query", "required": name in required, "schema": _plain(field)}
        for name, field in schema.get("properties", {}).items()
    ]


def _plain(field: dict[str, Any]) -> dict[str, Any]:
    """A parameter cannot be null: it is left out instead."""
    choices = [choice for choice in field.get("anyOf", ()) if choice.get("type") != "null"]
    kept = {key: value for key, value in field.items() if key not in ("anyOf", "title")}
    if kept.get("default", "") is None:
        del kept["default"]
    return kept | (choices[0] if len(choices) == 1 else {"anyOf": choices} if choices else {})


def _stream(summary: str, content_type: str) -> dict[str, Any]:
    content = {content_type: {"schema": {"type": "object" if content_type.endswith("json") else "string"}}}
    return {"summary": summary, "responses": {"200": {"description": "The answer", "content": content}}}
