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
        milvus: those that a change did not reach in Milvus itself: its proxies learn of a change with a delay.
        behind: the longest time for which an acknowledged write that a read did not see had been there, in seconds.
    """

    reads: int = 0
    verdicts: list[Verdict] = field(default_factory=list)
    milvus: list[Verdict] = field(default_factory=list)
    behind: float = 0.0


Rows = dict[tuple[str, str, str], Row]
"""By arm, level and outcome."""


def judge(recorded: Recorded) -> Rows:
    """Judge every read of a run."""
    judging = Judge(recorded)
    rows: Rows = defaultdict(Row)
    for read in recorded.reads:
        row = rows[read.question.arm, read.level.name, read.outcome]
        row.reads += 1
        row.behind = max(row.behind, judging.behind(read))
        verdict = judging.verdict(read)
        if verdict:
            (row.milvus if verdict.milvus else row.verdicts).append(verdict)
    return dict(rows)


def verdicts(rows: Rows, arm: str) -> list[Verdict]:
    """Return what is wrong with the reads of an arm."""
    return [verdict for (of, _, _), row in rows.items() if of == arm for verdict in row.verdicts]


def late_in_milvus(rows: Rows, arm: str) -> list[Verdict]:
    """Return the reads of an arm that a change did not reach in Milvus itself."""
    return [verdict for (of, _, _), row in rows.items() if of == arm for verdict in row.milvus]


def reads(rows: Rows, arm: str, outcome: str | None = None) -> int:
    """Count the reads of an arm, all of them or those with one word in the header ``kiteway-cache``."""
    return sum(row.reads for (of, _, word), row in rows.items() if of == arm and outcome in {None, word})


def table(rows: Rows, recorded: Recorded, arms: Iterable[str]) -> Table:
    """Return the summary as a table, in the order of `arms`."""
    found = Table(title=_title(recorded))
    for name in (
        "through",
        "level",
        "kiteway-cache",
        "reads",
        "in violation",
        "late in Milvus",
        "furthest behind",
    ):
        found.add_column(name, justify="left" if name in {"through", "level", "kiteway-cache"} else "right")
    for arm in arms:
        for (of, level, outcome), row in sorted(rows.items()):
            if of == arm:
                counts = (row.reads, len(row.verdicts), len(row.milvus))
                found.add_row(arm, level, outcome or "-", *(f"{n:,}" for n in counts), f"{row.behind:.2f} s")
    return found


def _title(recorded: Recorded) -> str:
    written = sum(write.acknowledged is not None for write in recorded.writes)
    changed = sum(change.acknowledged is not None for change in recorded.changes)
    return (
        f"{written:,} of {len(recorded.writes):,} writes and {changed:,} of {len(recorded.changes):,} changes acknowledged; "
        f"calls failed: {_counts(recorded.failed)}; refused because of a change: {_counts(recorded.refused)}"
    )


def _counts(found: dict[str, int]) -> str:
    return ", ".join(f"{count:,} through {arm}" for arm, count in sorted(found.items())) or "none"
