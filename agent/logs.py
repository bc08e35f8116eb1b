"""Log lines with fields, on standard error: for a console, or as JSON for a collector."""

import logging
import sys
from typing import Literal

import structlog

from agent.core import text


def configure(style: Literal["console", "json"], *, quiet: bool = False) -> None:
    """`quiet`: warnings and errors only, for commands whose result is on standard output."""
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
    """Log lines contain names and labels from outside: none may break its line or send a command to the terminal."""
    for key, value in fields.items():
        if isinstance(value, str):
            fields[key] = text.clean(value) if key == "exception" else text.one_line(value)
    return fields
