"""The summary of a run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from rich.table import Table

from tests.consistency.judge import Judge, Verdict
from tests.consistency.records import Recorded


@dataclass
class Row:
    """
    The reads of one arm at one level with one outcome.

    Attributes:
        verdicts: what is wrong with them.
        former: those that were answered by an alias's former collection: Milvus's proxies mix that up by themselves.
        behind: the longest time for which an acknowledged write that a read did not see had been there, in seconds.
    """

    reads: int = 0
    verdicts: list[Verdict] = field(default_factory=list)
    former: list[Verdict] = field(default_factory=list)
    behind: float = 0.0


Rows = dict[tuple[str, str, str], Row]
"""By arm, level and outcome."""


def judge(recorded: Recorded) -> Rows:
    """Judge every read of a run."""
    judging = Judge(recorded)
    rows: Rows = defaultdict(Row)
    for read in recorded.reads:
        row = rows[read.arm, read.level.name, read.outcome]
        row.reads += 1
        row.behind = max(row.behind, judging.behind(read))
        verdict = judging.verdict(read)
        if verdict:
            (row.former if verdict.former else row.verdicts).append(verdict)
    return dict(rows)


def verdicts(rows: Rows, arm: str) -> list[Verdict]:
    """Return what is wrong with the reads of an arm."""
    return [verdict for (of, _, _), row in rows.items() if of == arm for verdict in row.verdicts]


def former(rows: Rows, arm: str) -> list[Verdict]:
    """Return the reads of an arm that an alias's former collection answered."""
    return [verdict for (of, _, _), row in rows.items() if of == arm for verdict in row.former]


def reads(rows: Rows, arm: str) -> int:
    """Count the reads of an arm."""
    return sum(row.reads for (of, _, _), row in rows.items() if of == arm)


def table(rows: Rows, recorded: Recorded, arms: Iterable[str]) -> Table:
    """Return the summary as a table, in the order of `arms`."""
    found = Table(title=_title(recorded))
    for name in (
        "through",
        "level",
        "kiteway-cache",
        "reads",
        "in violation",
        "by the former alias",
        "furthest behind",
    ):
        found.add_column(name, justify="left" if name in {"through", "level", "kiteway-cache"} else "right")
    for arm in arms:
        for (of, level, outcome), row in sorted(rows.items()):
            if of == arm:
                counts = (row.reads, len(row.verdicts), len(row.former))
                found.add_row(arm, level, outcome or "-", *(f"{n:,}" for n in counts), f"{row.behind:.2f} s")
    return found


def _title(recorded: Recorded) -> str:
    acknowledged = sum(write.acknowledged is not None for write in recorded.writes)
    moves = sum(move.acknowledged is not None for move in recorded.moves)
    failed = ", ".join(f"{count:,} through {arm}" for arm, count in sorted(recorded.failed.items())) or "none"
    return f"{acknowledged:,} of {len(recorded.writes):,} writes acknowledged, {moves} moves of the alias; calls failed: {failed}"
