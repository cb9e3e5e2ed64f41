"""Characters that a web page or a word processor puts in place of those that were typed."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from typing import Final

_ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|quot|apos|amp|lt|gt|nbsp);")
_TYPED: Final = str.maketrans(
    {
        "\u2018": "'",
        "\u2019": "'",
        "\u201a": "'",
        "\u201b": "'",
        "\u201c": '"',
        "\u201d": '"',
        "\u201e": '"',
        "\u201f": '"',
        "\u00ab": '"',
        "\u00bb": '"',
        "\u00a0": " ",
        "\u3000": " ",
        "\uff02": '"',
        "\uff07": "'",
        "\uff1a": ": ",
        "\uff0c": ", ",
        "\uff0d": "-",
        "\uff0e": ".",
        "\uff0f": "/",
        "\uff3b": "[",
        "\uff3d": "]",
        "\uff5b": "{",
        "\uff5d": "}",
        "\u2013": "-",
        "\u2014": "-",
    }
)
_WIDE = re.compile("[\u3000\uff01-\uff5e]")
_SPACED = re.compile("([\uff1a\uff0c]) +")
_COMMENT = re.compile(r"(^|\s)#.*")
_KEY = re.compile(r" *(- +)*[\w./-]+:(\s|$)", re.ASCII)
_FLATTENED = re.compile(r"^\s*[A-Za-z][\w.-]*:\s+- ")
LONGEST = 160
"""Characters of a value that a fix repeats."""


def as_typed(text: str) -> str:
    """Return a text with the quotes, spaces and colons that a keyboard gives; the same text if it has no others."""
    if _ENTITY.search(text):
        text = html.unescape(text)
    return _SPACED.sub(r"\1", text).translate(_TYPED)


def hint(line: str) -> str:
    """Return what to do about a line of YAML that was copied from a web page; empty if it does not look so."""
    if _FLATTENED.match(line):
        return "The line breaks and the indentation are lost, as in a copy from a web page: take the manifest from its source."
    line = _COMMENT.sub("", line)
    if line[: len(line) - len(line.lstrip())].strip(" \t"):
        return "The line is indented with full-width or no-break spaces: type ordinary ones."
    typed = as_typed(line).strip()
    if typed == line.strip():
        return ""
    what = "typographic quotes or spaces of a web page"
    if _ENTITY.search(line):
        what = "HTML entities of a web page"
    elif _WIDE.search(line):
        what = "full-width characters"
    if len(typed) > LONGEST or not typed.isprintable():
        return f"The line has {what}: type them in ASCII, the quotes as ' and \"."
    return f"The line has {what}; type: {typed}"


def hint_above(lines: Sequence[str]) -> str:
    """
    Return what to do about the last line with text before a line that YAML refused; empty if it is a key like any other.

    A key that ends with a full-width colon is text to YAML, which goes on until a later line does not fit.
    """
    above = next((line for line in reversed(lines) if _COMMENT.sub("", line).strip(" ")), "")
    if _KEY.match(above) or not (found := hint(above)):
        return ""
    return found.replace("The line", "The line above", 1)
