"""Says plainly what is wrong with the value of an option: Typer's message has the words of the library that checks it."""

from __future__ import annotations

from typing import Any

import typer

_WHOLE = "is not a whole number."
_SENTENCES = {
    "int_parsing": _WHOLE,
    "int_parsing_size": _WHOLE,
    "int_from_float": _WHOLE,
    "float_parsing": "is not a number.",
    "greater_than_equal": "is less than {ge}.",
    "less_than_equal": "is more than {le}.",
}
"""By the names of Pydantic's errors, what Kiteway says of the value."""


def in_plain_words(error: typer.BadParameter) -> None:
    """
    Replace the message of ``error`` if it comes from Pydantic.

    Others stay: Kiteway's own, and those of a Typer before 0.29, which checked values without Pydantic.
    """
    errors = getattr(error.__cause__, "errors", None)
    if errors is not None:
        error.message = _sentence(errors()[0])


def _sentence(found: dict[str, Any]) -> str:
    context = found.get("ctx", {})
    if isinstance(context.get("error"), ValueError):
        return str(context["error"])
    if (known := _SENTENCES.get(found["type"])) is not None:
        return f"{found['input']!r} {known.format_map(context)}"
    return f"{found['input']!r} is not accepted: {found['msg'][:1].lower()}{found['msg'][1:].removesuffix('.')}."
