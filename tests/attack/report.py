"""The results as a table for people, as Markdown and as JSON."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

from rich.table import Table
from rich.text import Text

from tests.attack.attack import Attack, Seen
from tests.attack.world import LIMIT_SECONDS

RESULTS = Path(__file__).with_name("results")
Results = Sequence[tuple[Attack, Seen]]

_COLUMNS = (
    "part",
    "attack",
    "refused with",
    "change s",
    "failed calls",
    "Envoy killed s",
    "both killed s",
    "/live s",
    "MiB",
    "verdict",
)
_WORDS = {0, 1, 2, len(_COLUMNS) - 1}


def table(results: Results) -> Table:
    """Return a table for the terminal."""
    made = Table(title="One tenant attacks; what another one, the victim, sees of it")
    for number, name in enumerate(_COLUMNS):
        made.add_column(name, justify="left" if number in _WORDS else "right")
    for attack, seen in results:
        made.add_row(*map(Text, _cells(attack, seen)), style="red" if seen.faults else None)
    return made


def markdown(results: Results) -> str:
    """Return the table, and what is broken, in Markdown."""
    marks = ("---" if number in _WORDS else "---:" for number in range(len(_COLUMNS)))
    lines = [f"| {' | '.join(_COLUMNS)} |", f"|{'|'.join(marks)}|"]
    lines += [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in _cells(*result))} |" for result in results]
    broken = [f"- **{attack.name}**: {'; '.join(seen.faults)}" for attack, seen in results if seen.faults]
    return "\n".join([*lines, "", *broken]).rstrip() + "\n"


def _cells(attack: Attack, seen: Seen) -> list[str]:
    return [
        attack.part,
        attack.name,
        seen.refused,
        _seconds(seen.change),
        "" if seen.failed is None else f"{seen.failed} of {seen.failed + (seen.calls or 0)}",
        _seconds(seen.envoy),
        _seconds(seen.both),
        _seconds(seen.live),
        "" if seen.memory is None else str(max(0, seen.memory) >> 20),
        "broken" if seen.broken else "slow" if seen.slow else "held",
    ]


def _seconds(value: float | None) -> str:
    if value is None:
        return ""
    return "never" if value >= LIMIT_SECONDS else f"{value:.2f}"


def write(results: Results) -> Path:
    """Write both files and return where the Markdown is."""
    RESULTS.mkdir(exist_ok=True)
    plain = [{"part": a.part, "attack": a.name, **dataclasses.asdict(seen)} for a, seen in results]
    (RESULTS / "attack.json").write_text(json.dumps(plain, indent=2) + "\n")
    file = RESULTS / "attack.md"
    file.write_text(markdown(results))
    return file
