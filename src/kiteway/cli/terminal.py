"""The only output to a terminal: text from tenants and servers can neither control it nor forge a line of Kiteway's."""

from __future__ import annotations

from typing import Any

from rich.console import Console, ConsoleOptions
from rich.table import Column, Table
from rich.text import Text

from kiteway.printable import printable

_WIDEST = 100_000

Part = str | tuple[str, str]
"""Text, or text and its style (Rich's words: ``red``, ``bold``)."""


def line(*parts: Part) -> Text:
    """Return one line of output, made of parts with styles of their own."""
    pairs = [(part, "") if isinstance(part, str) else part for part in parts]
    return Text.assemble(*((printable(text), style) for text, style in pairs))


def table(*headers: str) -> Table:
    """Return an empty table. A cell too wide for the terminal is wrapped, never cut."""
    return Table(*(Column(header, overflow="fold") for header in headers), box=None, pad_edge=False)


class Terminal(Console):
    """
    Rich's console, for which a string is never markup and never more than one line.

    That holds for what is printed and for the cells of tables alike, since Rich turns each string into text here. A
    ``Text`` is printed as it is: make it with `line`.
    """

    @property
    def options(self) -> ConsoleOptions:
        """The terminal's width; without a limit for a file or a pipe, so that each row is one line there."""
        options = super().options
        return options if self.is_terminal else options.update(max_width=_WIDEST)

    def render_str(self, text: str, **options: Any) -> Text:
        """Return ``text`` as `printable` shows it, in the given style and justification."""
        given = {name: options[name] for name in ("style", "justify", "overflow") if name in options}
        return Text(printable(text), **given)
