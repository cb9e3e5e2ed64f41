"""The one way to a terminal: text that others wrote can neither steer it nor pretend to be a line of ours."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.text import Text

from kiteway.printable import printable

Part = str | tuple[str, str]
"""Text, or text and its style (Rich's words: ``red``, ``bold``)."""


def line(*parts: Part) -> Text:
    """Return one line of output, made of parts with styles of their own."""
    pairs = [(part, "") if isinstance(part, str) else part for part in parts]
    return Text.assemble(*((printable(text), style) for text, style in pairs))


class Terminal(Console):
    """
    Rich's console, for which a string is never markup and never more than one line.

    That holds for what is printed and for the cells of tables alike, since Rich turns each string into text here. A
    ``Text`` is printed as it is: make it with `line`.
    """

    def render_str(self, text: str, **options: Any) -> Text:
        """Return ``text`` as `printable` shows it, in the style and justification that are asked for."""
        given = {name: options[name] for name in ("style", "justify", "overflow") if name in options}
        return Text(printable(text), **given)
