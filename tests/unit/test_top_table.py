"""The table of `kiteway top`: on a narrow terminal, and in a pipe."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from kiteway.cli import top
from kiteway.cli.terminal import Terminal
from kiteway.envoy.calls import Calls
from kiteway.instance import Instance
from kiteway.metrics.top import By, Key, top_rows
from tests.unit.test_top import counted


def shown(width: int, monkeypatch: pytest.MonkeyPatch, by: By) -> list[str]:
    """Return the lines of the table on a terminal of ``width`` columns."""
    file = io.StringIO()
    terminal = Terminal(file=file, force_terminal=True, no_color=True, width=width, highlight=False)
    monkeypatch.setattr(top, "stdout", terminal)
    rows = top_rows(counted(693_000, errors={"1100": 4}), by, Key.CALLS)
    terminal.print(top._table(rows, by, 2.0), style=None)
    return [line.rstrip() for line in file.getvalue().replace("\x1b[1m", "").replace("\x1b[0m", "").splitlines()]


@pytest.mark.parametrize("width", [80, 90, 120, 200])
@pytest.mark.parametrize("by", [By.USER, By.ENDPOINT])
def test_no_number_is_on_two_lines(width: int, by: By, monkeypatch: pytest.MonkeyPatch) -> None:
    """A narrow terminal gets fewer columns; the calls, the errors and the times are always there."""
    lines = shown(width, monkeypatch, by)
    assert len(lines) == 1 + len({tuple(row.name) for row in top_rows(counted(1), by, Key.CALLS)})
    assert {"CALLS", "ERRORS", "P50", "P99"} < set(lines[0].split())
    assert all(len(line) <= width for line in lines)


def test_a_wide_terminal_has_every_column(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is left out that has room."""
    headers = shown(200, monkeypatch, By.USER)[0].split()
    assert {"CALLS/S", "SHARE", "CACHE", "QUEUED", "REFUSED", "ROWS", "BYTES"} < set(headers)
    assert "CODES" not in headers  # no user had an error


class _Counting:
    """Answers with more calls each time, and ends the command after the third answer."""

    def __init__(self, _socket: object) -> None:
        self._answers = self._each()

    def _each(self) -> Iterator[Calls]:
        for searches in (10, 30, 60):
            yield counted(searches)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    async def read(self) -> Calls:
        try:
            return next(self._answers)
        except StopIteration:
            raise KeyboardInterrupt from None


def test_a_pipe_gets_each_table_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A reader of the pipe sees every interval, not the last one at the end."""
    file = io.StringIO()
    monkeypatch.setattr(top, "stdout", Terminal(file=file, width=80, highlight=False))
    monkeypatch.setattr(top, "CallsClient", _Counting)
    with pytest.raises(KeyboardInterrupt):
        asyncio.run(top._live(Instance(tmp_path), By.COLLECTION, Key.CALLS, 0.0))
    titles = [line for line in file.getvalue().splitlines() if line.startswith("the last ")]
    assert [title.partition(": ")[2] for title in titles] == [
        "20 calls, 0 errors; Ctrl-C ends it",
        "30 calls, 0 errors; Ctrl-C ends it",
    ]
