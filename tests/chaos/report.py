"""The results as a table for people, as Markdown and as JSON."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from tests.chaos.run import Result
from tests.support.load import Calls

RESULTS = Path(__file__).with_name("results")

_COLUMNS = (
    "fault",
    "balancer",
    "reads",
    "failed",
    "p50 ms",
    "p99 ms",
    "max s",
    "writes",
    "failed",
    "doubled",
    "lost",
    "Strong max s",
    "Strong failed",
)


def table(results: Sequence[Result]) -> Table:
    """Return a table for the terminal."""
    made = Table(title="Every fault under the same load, at the same moment; retries of the client are off")
    for number, name in enumerate(_COLUMNS):
        made.add_column(name, justify="left" if number < 2 else "right")
    for _, group in itertools.groupby(results, lambda r: r.fault.name):
        for result in group:
            made.add_row(*_cells(result), style="red" if result.broken and result.balancer == "Kiteway" else None)
        made.add_section()
    return made


def markdown(results: Sequence[Result]) -> str:
    """Return the table and the notes in Markdown."""
    lines = ["| " + " | ".join(_COLUMNS) + " |", "|---|---|" + "---:|" * (len(_COLUMNS) - 2)]
    lines += ["| " + " | ".join(_cells(result)) + " |" for result in results]
    notes = dict.fromkeys((r.fault.name, r.fault.note) for r in results if r.fault.note)
    lines += ["", *(f"- **{name}**: {note}" for name, note in notes)]
    return "\n".join(lines) + "\n"


def _cells(result: Result) -> list[str]:
    reads, writes, strong = result.load.reads, result.load.writes, result.load.strong
    return [
        result.fault.name,
        result.balancer,
        str(reads.ok),
        str(reads.failed),
        f"{reads.quantile(0.5) * 1000:.0f}",
        f"{reads.quantile(0.99) * 1000:.0f}",
        f"{reads.quantile(1):.1f}",
        str(writes.ok),
        str(writes.failed),
        str(result.rows.doubled),
        str(result.rows.lost),
        f"{strong.quantile(1):.1f}",
        str(strong.failed),
    ]


def plain(results: Sequence[Result]) -> list[dict[str, Any]]:
    """Return everything as JSON values."""
    return [
        {
            "fault": result.fault.name,
            "balancer": result.balancer,
            "broken": result.broken,
            "note": result.fault.note,
            "reads": _calls(result.load.reads),
            "strongReads": _calls(result.load.strong),
            "writes": _calls(result.load.writes),
            "doubled": result.rows.doubled,
            "lost": result.rows.lost,
            "requestsPerEndpoint": result.spread,
        }
        for result in results
    ]


def _calls(calls: Calls) -> dict[str, Any]:
    return {
        "ok": calls.ok,
        "failed": calls.failed,
        "failures": dict(calls.failures),
        "p50": calls.quantile(0.5),
        "p99": calls.quantile(0.99),
        "max": calls.quantile(1),
        "histogram": calls.histogram(),
    }


def write(results: Sequence[Result], name: str = "chaos") -> Path:
    """Write both files and return where the Markdown is."""
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(plain(results), indent=2) + "\n")
    file = RESULTS / f"{name}.md"
    file.write_text(markdown(results))
    return file
