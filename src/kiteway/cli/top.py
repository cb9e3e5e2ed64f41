"""`kiteway top`: a live table of calls."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Annotated

import msgspec
import typer
from rich.console import Group
from rich.live import Live
from rich.table import Table

from kiteway.cli.options import DataDirOption
from kiteway.cli.output import Output, OutputOption, emit, fail, stdout
from kiteway.cli.running import running_instance
from kiteway.cli.terminal import line, natural_width, table
from kiteway.envoy.calls import Calls, CallsClient, CallsError
from kiteway.instance import Instance, InstanceError
from kiteway.metrics.top import By, Key, top_rows
from kiteway.report.calls import CallsRow, ReadOutcomes, TopReport
from kiteway.status.client import OtherVersionError, read_status

_HEADERS = {
    By.COLLECTION: ("DATABASE", "COLLECTION"),
    By.RPC: ("DATABASE", "COLLECTION", "RPC"),
    By.USER: ("USER",),
    By.ENDPOINT: ("ENDPOINT",),
}
_WHOLE = frozenset(("CALLS", "CALLS/S", "SHARE", "CACHE", "QUEUED", "REFUSED", "ERRORS", "P50", "P99", "ROWS", "BYTES"))
"""Columns of numbers, which are hard to read on two lines."""
_LEFT_OUT = ("BYTES", "ROWS", "CALLS/S", "SHARE")
"""Columns that a narrow terminal does not get, the first to go first."""
_Cell = Callable[[CallsRow], str]
_TITLES = 3
"""Lines of the screen that are not rows."""


def top(
    *,
    by: Annotated[By, typer.Option("--by", help="The kind of the rows.")] = By.COLLECTION,
    sort: Annotated[
        Key, typer.Option("--sort", help="The column to sort by, largest first; names alphabetically.")
    ] = Key.CALLS,
    interval: Annotated[
        float, typer.Option("--interval", metavar="SECONDS", min=0.2, help="The time between two updates.")
    ] = 2.0,
    once: Annotated[bool, typer.Option("--once", help="Print the counts since Envoy's start, and end.")] = False,
    output: OutputOption = Output.TABLE,
    data_dir: DataDirOption = None,
) -> None:
    """
    Show a live table of calls by collection, rpc, user or endpoint.

    The figures are those of the last interval; with --once, those since Envoy started. CALLS are attempts at an endpoint
    and reads that a cache answered, SHARE is their share of the pool's calls, and CACHE the share of the reads that the
    cache answered. QUEUED are calls that waited for their turn, and how long on average; REFUSED are those that limits or
    the admission refused, which are not among CALLS.
    A collection and a user have a row of their own once Milvus has answered a call without error; all others are "(other)".
    p50 and p99 come from a histogram. A narrow terminal gets fewer columns; a pipe gets all, one table after the other.
    --log-users of the running instance sets the form of user names.

    Exit status: 0 done or Ctrl-C, 1 no instance runs or Envoy does not answer, 2 usage error.

    Examples:
    \b
      kiteway top
      kiteway top --by user --sort errors
      kiteway top --by rpc --sort p99 --interval 5
      kiteway top --once --output json | jq '.rows[] | select(.p99 > 0.1)'
    """
    if output is not Output.TABLE and not once:
        raise fail("--output goes with --once: the live view is a table", 2)
    instance = running_instance(data_dir)
    try:
        asyncio.run(_once(instance, by, sort, output) if once else _live(instance, by, sort, interval))
    except CallsError as error:
        missing = _missing_filter(instance)
        raise fail(missing or f"{error}. `kiteway status` shows whether Envoy runs") from error
    except KeyboardInterrupt:
        raise typer.Exit(0) from None


def _missing_filter(instance: Instance) -> str:
    """Return that the running instance has no filter, which counts the calls; empty if it has one or does not say."""
    try:
        found = read_status(instance)
    except (InstanceError, OtherVersionError, OSError):
        return ""
    return f"`kiteway top` shows what the Envoy filter counts. {found.filter.reason}" if found.filter.reason else ""


async def _once(instance: Instance, by: By, sort: Key, output: Output) -> None:
    async with CallsClient(instance.calls_socket) as client:
        rows = top_rows(await client.read(), by, sort)
    if output is Output.TABLE:
        stdout.print(_table(rows, by, None))
    else:
        report = TopReport(by=str(by), rows=tuple(map(_finite, rows)))
        emit(msgspec.to_builtins(report), output)


async def _live(instance: Instance, by: By, sort: Key, interval: float) -> None:
    before: Calls | None = None
    since = time.monotonic()
    async with CallsClient(instance.calls_socket) as client:
        with _screen() as show:
            while True:
                now, at = await client.read(), time.monotonic()
                if before is not None:
                    show(_frame(top_rows(now, by, sort, before), by, at - since))
                before, since = now, at
                await asyncio.sleep(interval)


@contextlib.contextmanager
def _screen() -> Iterator[Callable[[Group], None]]:
    """Yield what shows a frame: in place of the last one on a terminal, below it in a file or a pipe."""
    if not stdout.is_terminal:
        yield stdout.print
        return
    with Live(console=stdout, auto_refresh=False, screen=True) as live:
        yield lambda frame: live.update(frame, refresh=True)


def _frame(rows: list[CallsRow], by: By, seconds: float) -> Group:
    calls, failed = sum(row.calls for row in rows), sum(row.failed for row in rows)
    fits = max(1, stdout.size.height - _TITLES) if stdout.is_terminal else len(rows)
    shown = f"the first {fits} of {len(rows)} lines" if fits < len(rows) else "Ctrl-C ends it"
    title = line(f"the last {seconds:.1f} s: {calls} calls, {failed} errors; {shown}")
    return Group(title, _table(rows[:fits], by, seconds))


def _table(rows: list[CallsRow], by: By, seconds: float | None) -> Table:
    """
    Return the table of the last ``seconds``, or without them since Envoy's start.

    A terminal on which it is too wide gets it without some columns, rather than with numbers on two lines.
    """
    columns = _columns(rows, by, seconds)
    found = _filled(rows, columns)
    for header in _LEFT_OUT:
        if natural_width(found) <= stdout.options.max_width:
            break
        columns.pop(header, None)
        found = _filled(rows, columns)
    return found


def _filled(rows: list[CallsRow], columns: Mapping[str, _Cell]) -> Table:
    found = table(*columns, whole=_WHOLE)
    for row in rows:
        found.add_row(*(cell(row) for cell in columns.values()))
    return found


def _columns(rows: list[CallsRow], by: By, seconds: float | None) -> dict[str, _Cell]:
    """Return what there is to show of a row, by the header."""
    columns: dict[str, _Cell] = {}
    if len({row.pool for row in rows}) > 1:
        columns["POOL"] = lambda row: row.pool
    for index, header in enumerate(_HEADERS[by]):
        columns[header] = partial(_name, index)
    columns["CALLS"] = lambda row: str(row.calls)
    if seconds is not None:
        columns["CALLS/S"] = lambda row: f"{row.calls / seconds:.1f}"
    columns["SHARE"] = lambda row: f"{100 * row.share:.0f} %"
    if any(row.cache for row in rows):
        columns["CACHE"] = lambda row: _hits(row.cache)
    if any(row.waited or row.refused for row in rows):
        columns |= {"QUEUED": _queued, "REFUSED": lambda row: str(row.refused)}
    columns |= {
        "ERRORS": lambda row: str(row.failed),
        "P50": lambda row: _time(row.p50),
        "P99": lambda row: _time(row.p99),
        "ROWS": lambda row: str(row.rows),
        "BYTES": lambda row: _bytes(row.bytes),
    }
    if any(row.errors for row in rows):
        columns["CODES"] = lambda row: ", ".join(f"{code}: {count}" for code, count in row.errors.items())
    return columns


def _name(index: int, row: CallsRow) -> str:
    return row.name[index]


def _hits(cache: ReadOutcomes | None) -> str:
    """Return which share of the reads the cache answered."""
    return f"{100 * cache.answered / cache.reads:.0f} %" if cache is not None and cache.reads else "-"


def _queued(row: CallsRow) -> str:
    """Return how many calls waited for their turn, and how long on average."""
    return f"{row.waited}, {_time(row.wait)}" if row.waited else "-"


def _time(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    if math.isinf(seconds):
        return "> 60 s"
    return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1000:.3g} ms"


def _bytes(number: float) -> str:
    for unit in ("B", "KiB", "MiB"):
        if number < 1024:
            return f"{number:.0f} {unit}" if unit == "B" or number >= 100 else f"{number:.3g} {unit}"
        number /= 1024
    return f"{number:.4g} GiB"


def _finite(row: CallsRow) -> CallsRow:
    """Return a row for JSON, which has no infinite time."""
    p50, p99 = (None if time is None or math.isinf(time) else time for time in (row.p50, row.p99))
    return msgspec.structs.replace(row, p50=p50, p99=p99)
