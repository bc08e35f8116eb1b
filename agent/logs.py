"""Structured log lines on standard error: readable on a console, or JSON for a log collector."""

import logging
import sys
from typing import Literal

import structlog

from agent.core import text


def configure(style: Literal["console", "json"], *, quiet: bool = False) -> None:
    """Set up logging. `quiet` drops everything below a warning, for commands that print their result."""
    level = logging.WARNING if quiet else logging.INFO
    colors = sys.stderr.isatty()
    renderer: structlog.typing.Processor = structlog.processors.JSONRenderer()
    if style == "console":
        renderer = structlog.dev.ConsoleRenderer(colors=colors, pad_event_to=0)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _clean,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )


def _clean(_logger: object, _method: str, fields: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Neutralise line breaks and terminal commands: log fields contain names and labels that others chose."""
    for key, value in fields.items():
        if isinstance(value, str):
            fields[key] = text.clean(value) if key == "exception" else text.one_line(value)
    return fields
