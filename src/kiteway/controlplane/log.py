"""The log of the control plane."""

from __future__ import annotations

import logging
from collections.abc import MutableMapping
from typing import Any

import structlog

from kiteway.printable import printable


def configure() -> None:
    """Write one line for each event, also when a tenant's text in it has line ends; libraries log to standard error."""
    libraries = logging.StreamHandler()
    libraries.setFormatter(_OneLine("%(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[libraries])
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="%Y-%m-%d %H:%M:%S", utc=False),
            structlog.processors.format_exc_info,
            _one_line,
            structlog.dev.ConsoleRenderer(colors=False),
        ]
    )


class _OneLine(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record))


def _one_line(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    return {key: printable(value) if isinstance(value, str) else value for key, value in event.items()}
