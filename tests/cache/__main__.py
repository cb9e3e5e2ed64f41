"""
``python -m tests.cache [--histories N] [--write]``: the table of conditions, in Markdown.

With all conditions N histories must have no violation; without any one of them N histories must have one (the search
stops at three). ``--write`` keeps the shortest of them in ``tests/cache/witnesses.py``, which `make test` runs. Exit
status: 0 as it must be, 1 otherwise, 2 usage.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from tests.cache.conditions import Condition
from tests.cache.history import History, source
from tests.cache.search import Found, executor, search_widely, without
from tests.cache.simulate import run

_ENOUGH = 3
_WITNESSES = Path(__file__).with_name("witnesses.py")
_HEAD = '''"""The shortest history found in which dropping a condition breaks a promise; made by ``make check-cache-model``."""

from tests.cache.conditions import Condition
from tests.cache.history import Change, History, Level, Read, Replacement, Sample, Suspension, Write

'''


def main() -> int:
    """Search, print and compare with what must be."""
    parser = argparse.ArgumentParser(prog="python -m tests.cache")
    parser.add_argument("--histories", type=int, default=100_000, metavar="N")
    parser.add_argument("--write", action="store_true", help="keep the shortest histories in tests/cache/witnesses.py")
    options = parser.parse_args()
    if options.histories < 1:
        parser.error("--histories must be at least 1")
    witnesses: dict[Condition, History] = {}
    with executor() as processes:
        whole = search_widely(processes, options.histories)
        _print("| condition dropped | histories with a violation | of | operations of the shortest |")
        _print("|---|---:|---:|---:|")
        _print(_row("none", whole))
        for condition in Condition:
            found = search_widely(processes, options.histories, without(condition), _ENOUGH)
            _print(_row(f"`{condition.name}`: {condition.value}", found))
            if found.shortest:
                witnesses[condition] = found.shortest
    _print(
        f"\nReads with all conditions: {', '.join(f'{n:,} {name}' for name, n in sorted((whole.outcomes or {}).items()))}."
    )
    missing = [condition.name for condition in Condition if condition not in witnesses]
    if whole.shortest:
        _print(
            f"\nWith all conditions this history has a violation:\n{source(whole.shortest)}\n{run(whole.shortest).violations}"
        )
    if missing:
        _print(f"\nNo history breaks without: {', '.join(missing)}")
    if options.write:
        _write(witnesses)
    return 1 if whole.shortest or missing else 0


def _row(name: str, found: Found) -> str:
    length = len(found.shortest.operations) if found.shortest else "-"
    return f"| {name} | {found.breaking:,} | {found.histories:,} | {length} |"


def _print(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _write(witnesses: dict[Condition, History]) -> None:
    items = "".join(f"    Condition.{condition.name}: {source(history)},\n" for condition, history in witnesses.items())
    _WITNESSES.write_text(f"{_HEAD}WITNESSES: dict[Condition, History] = {{\n{items}}}\n")
    for command in (["check", "--fix", "--quiet"], ["format", "--quiet"]):
        subprocess.run([sys.executable, "-m", "ruff", *command, str(_WITNESSES)], check=True)


if __name__ == "__main__":
    sys.exit(main())
