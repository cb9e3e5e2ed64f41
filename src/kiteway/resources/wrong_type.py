"""What to write in place of a value of the wrong type."""

from __future__ import annotations

import json
from typing import Final

from kiteway.resources import web_text
from kiteway.resources.annotations import json_example
from kiteway.resources.places import Path

_ANNOTATIONS: Final[Path] = ("metadata", "annotations")


def type_fix(expected: str, value: object, path: Path, *, private: bool) -> str:
    """
    Return what to write in place of a value of the wrong type; empty if that cannot be said.

    Args:
        expected: the type that the value should have, in words: "a string".
        value: what was written.
        path: the field.
        private: whether the value is a secret, and is not repeated.
    """
    if isinstance(value, str) and ("integer" in expected or "number" in expected) and _is_number(value):
        return "Remove the quotes."
    if isinstance(value, str) and expected == "true or false" and value in {"true", "false"}:
        return "Remove the quotes."
    if expected == "a string" and isinstance(value, bool | int | float | dict | list):
        return "Quote it." if private else _quoting(value, path)
    if expected == "a mapping" and isinstance(value, str) and not private and (copied := web_text.hint(value)):
        return copied
    if expected == "a list" and value:
        return 'Write each entry on a line of its own that begins with "- ".'
    return ""


def _quoting(value: object, path: Path) -> str:
    try:
        text = json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):
        return "Quote it."
    if path[:-1] == _ANNOTATIONS and (example := json_example(str(path[-1]), text)):
        return f"Write it as JSON, in quotes: '{example}'."
    if len(text) > web_text.LONGEST or "'" in text or not text.isprintable():
        return "Quote it."
    return f"Quote it: '{text}'." if isinstance(value, dict | list) else f'Quote it: "{text}".'


def _is_number(text: str) -> bool:
    return text.removeprefix("-").replace(".", "", 1).isdecimal()
