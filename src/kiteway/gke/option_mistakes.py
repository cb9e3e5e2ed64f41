"""Says plainly what is wrong with an option of ``kiteway gke``: msgspec's message has its own words and paths."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from kiteway.resources.places import quoted
from kiteway.resources.rules import dns_label

_PLACE = re.compile(r"(.*) - at (`key` in )?`\$\.?([^`.\[]*)[^`]*`", re.DOTALL)
_TYPES = {"str": "text", "int": "a whole number", "bool": "true or false", "array": "a list", "object": "a mapping"}
_BOUNDS = {">=": "at least", "<=": "at most"}


def sentence_of(error: msgspec.ValidationError, values: Mapping[str, Any], options: type[msgspec.Struct]) -> str:
    """
    Return what is wrong as a sentence with the option's name.

    Args:
        error: what msgspec said of ``values``.
        values: the options by their names.
        options: the struct that ``values`` are not.
    """
    placed = _PLACE.fullmatch(str(error))
    what, key, name = placed.groups() if placed else (str(error), None, "")
    if unknown := re.fullmatch(r"Object contains unknown field `(.*)`", what, re.DOTALL):
        known = ", ".join(field.encode_name for field in msgspec.structs.fields(options))
        return f"There is no option {quoted(unknown[1])}. The options are {known}."
    if key:
        return f"{name}: each of its keys must be text." if name else "The name of each option must be text."
    if name not in values:
        return f"{what.replace('`', '')}."
    return f"{name}: {_rule(what, values[name], _words(name, options))}"


def _words(name: str, options: type[msgspec.Struct]) -> tuple[str, ...]:
    """Return the values that an option may have, if it is one of a few."""
    kinds = [field.type for field in msgspec.structs.fields(options) if field.encode_name == name]
    infos = [msgspec.inspect.type_info(kind) for kind in kinds]
    return tuple(each.value for info in infos if isinstance(info, msgspec.inspect.EnumType) for each in info.cls)


def _rule(what: str, value: Any, words: tuple[str, ...]) -> str:
    """Return the rule that ``value`` breaks and, if it is short, the value."""
    if words:
        return f"must be one of {', '.join(words)}, not {_shown(value)}."
    if bound := re.fullmatch(r"Expected `int` (>=|<=) (\d+)", what):
        return f"must be {_BOUNDS[bound[1]]} {bound[2]}, not {_shown(value)}."
    if isinstance(value, str) and what.startswith("Expected `str` matching") and (broken := dns_label(value)):
        return f"{broken.message} {broken.fix}"
    if kinds := re.fullmatch(r"Expected `([a-z]+)(?: \| null)?`, got `[a-z]+`", what):
        return f"must be {_TYPES.get(kinds[1], kinds[1])}, not {_shown(value)}."
    return f"{_shown(value)} is not accepted: {what.replace('`', '')}."


def _shown(value: Any) -> str:
    if isinstance(value, list | dict):
        return _TYPES["array" if isinstance(value, list) else "object"]
    return quoted(value) if isinstance(value, str) else json.dumps(value, default=str)
