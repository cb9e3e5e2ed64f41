"""Characters that a web page or a word processor puts in place of those that were typed."""

from __future__ import annotations

import html
import re
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
        "\uff5b": "{",
        "\uff5d": "}",
        "\u2013": "-",
        "\u2014": "-",
    }
)
_FLATTENED = re.compile(r"^\s*[A-Za-z][\w.-]*:\s+- ")
LONGEST = 160
"""Characters of a value that a fix repeats."""


def as_typed(text: str) -> str:
    """Return a text with the quotes, spaces and colons that a keyboard gives; the same text if it has no others."""
    if _ENTITY.search(text):
        text = html.unescape(text)
    return text.translate(_TYPED)


def hint(line: str) -> str:
    """Return what to do about a line of YAML that was copied from a web page; empty if it does not look so."""
    if _FLATTENED.match(line):
        return "The line breaks and the indentation are lost, as in a copy from a web page: take the manifest from its source."
    typed = as_typed(line).strip()
    if typed == line.strip():
        return ""
    what = "HTML entities" if _ENTITY.search(line) else "typographic quotes or spaces"
    if len(typed) > LONGEST or not typed.isprintable():
        return f"The line has {what} of a web page: type them as ' and \"."
    return f"The line has {what} of a web page; type: {typed}"
