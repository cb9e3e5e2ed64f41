"""The only output to a terminal: text from tenants and servers can neither control it nor forge a line of Kiteway's."""

from __future__ import annotations

from collections.abc import Container
from typing import Any

from rich.columns import Columns
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.measure import Measurement
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


def table(*headers: str, whole: Container[str] = ()) -> Table:
    """
    Return an empty table. A cell too wide for the terminal is wrapped, never cut.

    The cells of the columns in ``whole`` stay on one line, as long as wrapping the others is enough.
    """
    columns = (Column(header, overflow="fold", no_wrap=header in whole) for header in headers)
    return Table(*columns, box=None, pad_edge=False)


def natural_width(found: Table) -> int:
    """Return how many columns a table takes without a limit, so that no cell is wrapped."""
    console = Console(width=_WIDEST)
    return Measurement.get(console, console.options, found).maximum


class FoldingTable(Table):
    """A table whose columns, made as rows are added, cut no word."""

    def add_row(self, *cells: RenderableType | None, **options: Any) -> None:
        """Add a row, and a column for each cell that has none."""
        super().add_row(*cells, **options)
        for column in self.columns:
            column.overflow = "fold"


class FoldingColumns(Columns):
    """Texts beside or below each other, of which no word is cut."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Render the texts."""
        for each in self.renderables:
            if isinstance(each, Text):
                each.overflow = "fold"
        yield from super().__rich_console__(console, options)


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
