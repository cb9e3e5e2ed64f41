"""
Plain YAML scalars, resolved as kubectl resolves them.

kubectl reads manifests with sigs.k8s.io/yaml, which is go-yaml v2: YAML 1.1 booleans (``y``, ``yes``, ``on`` among
them), octal with a leading zero, underscores in numbers, no base 60; a timestamp stays a string.
"""

from __future__ import annotations

import math
import re

Scalar = str | int | float | bool | None

_WORDS: dict[str, Scalar] = {
    **dict.fromkeys(("y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"), True),
    **dict.fromkeys(("n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"), False),
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), math.nan),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), math.inf),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), -math.inf),
}

_DECIMAL = re.compile(r"[-+]?(0|[1-9][0-9]*)\Z")
_PREFIXED = re.compile(r"([-+]?)0(?:[xX]([0-9a-fA-F]+)|[bB]([01]+)|[oO]?([0-7]+))\Z")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?\Z")

# Python refuses to convert more than 4,300 digits; no number in a manifest comes near.
_LONGEST_NUMBER = 100


def resolve(text: str) -> Scalar:
    """Return the value of a plain (unquoted) scalar."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in "+-.0123456789" or len(text) > _LONGEST_NUMBER:
        return text
    return text if (number := _number(text)) is None else number


def _number(text: str) -> int | float | None:
    # go-yaml takes underscores out of what begins like an integer, never out of what begins with a dot.
    digits = text if text[0] == "." else text.replace("_", "")
    if _DECIMAL.match(digits):
        return int(digits)
    if found := _PREFIXED.match(digits):
        sign, hexadecimal, binary, octal = found.groups()
        magnitude = int(hexadecimal, 16) if hexadecimal else int(binary, 2) if binary else int(octal, 8)
        return -magnitude if sign == "-" else magnitude
    if _FLOAT.match(digits) and math.isfinite(number := float(digits)):
        return number
    return None


def resolve_tagged(tag: str, text: str) -> Scalar:
    """
    Return the value of a scalar with an explicit standard tag.

    Raises:
        ValueError: the tag is none of str, int, float, bool and null, or the text is no such value.
    """
    kind = tag.removeprefix("tag:yaml.org,2002:")
    if kind == "str":
        return text
    value = resolve(text)
    if kind == "float" and type(value) is int:
        return float(value)
    if kind in _TYPES and type(value) is _TYPES[kind]:
        return value
    raise ValueError(tag)


_TYPES: dict[str, type] = {"int": int, "float": float, "bool": bool, "null": type(None)}
