"""Structured log lines on standard error: readable on a console, or JSON for a log collector."""

import logging
import sys
from typing import Literal

import structlog

from agent.core import text, units

Fields = structlog.typing.EventDict


def configure(style: Literal["console", "json"], *, host: str = "", quiet: bool = False) -> None:
    """Set up logging. Called again, it replaces the earlier set-up, also for loggers that exist.

    `host`: the host's name, which each JSON line has; a console shows the lines of one host alone. `quiet` is for
    commands that print their result: it drops everything below a warning, and alerts, which they print as notes.
    """
    level = logging.WARNING if quiet else logging.INFO
    structlog.configure(
        processors=[
            *([_drop_alert] if quiet else []),
            _drop_none,
            structlog.processors.add_log_level,
            *(_for_console() if style == "console" else _for_collector(host)),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )


def _for_console() -> list[structlog.typing.Processor]:
    return [
        structlog.processors.TimeStamper(fmt="%Y-%m-%dT%H:%M:%SZ", utc=True),
        structlog.processors.format_exc_info,
        _bytes_for_people,
        _clean,
        structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=0),
    ]


def _for_collector(host: str) -> list[structlog.typing.Processor]:
    def add_host(_logger: object, _method: str, fields: Fields) -> Fields:
        return fields if "host" in fields or not host else {**fields, "host": host}

    return [
        add_host,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _clean,
        structlog.processors.JSONRenderer(),
    ]


def _drop_alert(_logger: object, _method: str, fields: Fields) -> Fields:
    if fields.get("action") == "alert":
        raise structlog.DropEvent
    return fields


def _drop_none(_logger: object, _method: str, fields: Fields) -> Fields:
    """Drop the fields that are None, like the error of an eviction that had none."""
    return {key: value for key, value in fields.items() if value is not None}


def _bytes_for_people(_logger: object, _method: str, fields: Fields) -> Fields:
    """Show `freed_bytes=125000000` as `freed='125 MB'`."""
    for key in [key for key, value in fields.items() if key.endswith("_bytes") and isinstance(value, int)]:
        fields[key.removesuffix("_bytes")] = units.format_bytes(fields.pop(key))
    return fields


def _clean(_logger: object, _method: str, fields: Fields) -> Fields:
    """Neutralise line breaks and terminal commands: log fields contain names and labels that others chose."""
    for key, value in fields.items():
        if isinstance(value, str):
            fields[key] = text.clean(value) if key == "exception" else text.one_line(value)
    return fields
