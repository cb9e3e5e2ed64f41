"""
``python -m tests.chaos [--ours] [--cache] [FAULT...]``: the table of faults.

A fault is chosen by a part of its name; without any, all are done. Exit status: 0 no read failed and no row was
written twice or lost behind Kiteway, and the cache was used if it is on; 1 otherwise; 2 usage.
"""

from __future__ import annotations

import argparse
import asyncio
import sys

from rich.console import Console

from tests.chaos import report
from tests.chaos.faults import FAULTS
from tests.chaos.run import OURS, Result, chaos, run
from tools.in_netns import isolated


def main() -> int:
    """Run and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos")
    parser.add_argument("--ours", action="store_true", help="Kiteway alone, without Envoy and nginx beside it")
    parser.add_argument("--cache", action="store_true", help="with Kiteway's cache on, and a Kiteway without it beside")
    parser.add_argument("fault", nargs="*", help="a part of a fault's name")
    options = parser.parse_args()
    chosen = [f for f in FAULTS if not options.fault or any(part in f.name for part in options.fault)]
    if not chosen:
        parser.error("no fault has such a name")
    if not isolated():
        parser.error("the embedded Milvus would listen on every address: run it with tools/in_netns.py (make chaos)")
    console = Console(width=None if sys.stdout.isatty() else 180)

    async def work() -> list[Result]:
        async with chaos(contrast=not options.ours, cache=options.cache) as found:
            return await run(found, chosen, console.print)

    results = asyncio.run(work())
    console.print(report.table(results))
    console.print(f"written to {report.write(results)}")
    cached = [result.cached for result in results if result.balancer == OURS]
    if options.cache:
        console.print(f"answers of the cache after each fault, since Envoy's start: {cached}")
    broken = [(r, text) for r in results if r.balancer == OURS for text in r.broken]
    for result, text in broken:
        console.print(f"[red]{result.fault.name}: {text}[/red] {dict(result.load.reads.failures)}")
    return 1 if broken or (options.cache and not any(cached)) else 0


if __name__ == "__main__":
    sys.exit(main())
