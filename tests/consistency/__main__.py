"""
``python -m tests.consistency [--minutes M] [--proxies N] [--planted BUG]``: histories on a real Milvus, every read judged.

The same rows of two Milvus clusters are read through Kiteway, through plain Envoy (what Milvus itself answers) and
through a liar that repeats old answers. Meanwhile aliases move, collections are dropped, made again and renamed, users
and privileges are taken away, and proxies, the broker, the control plane and Kiteway's Envoy are killed or stopped in
turn. If MilvusPolicy has a cache, it is on, and a run needs a number of hits and shared answers.

With ``--planted`` the filter has a bug, or one after the other, and a run ends when it is caught.

Exit status: 0 no read through Kiteway or Envoy is in violation, the liar is caught and the cache was used, or every
planted bug is caught; 1 otherwise; 2 usage.
"""

from __future__ import annotations

import argparse
import asyncio
import sys

from rich.console import Console

from tests.consistency.disturb import faults
from tests.consistency.lead import Lead
from tests.consistency.machine import Machine, build_planted, planted_bugs
from tests.consistency.planted import hunt
from tests.consistency.report import judge, late_in_milvus, reads, table, verdicts
from tests.consistency.run import ARMS, ENVOY, KITEWAY, LIAR, run
from tests.consistency.scene import CACHE_EXISTS, scene
from tools.in_netns import isolated

_LEAST_A_MINUTE = {"hit": 300, "joined": 30}
"""Answers of the cache that a run must have for each of its minutes, or it shows little."""

_PROXIES_OF_BUGS = 2
"""Proxies in runs with planted bugs: where the answers of one are late, the other one's overtake them."""

_SESSION_OF_BUGS = 60
"""
Seconds of a session: nothing kills Milvus in these runs, and on a busy machine a process may not get the processor for the
usual 5 s.
"""


def main() -> int:
    """Run, judge and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.consistency")
    parser.add_argument("--minutes", type=float, default=3.0, help="how long (default 3)")
    parser.add_argument("--proxies", type=int, default=3, help="how many proxies the first Milvus has (default 3)")
    parser.add_argument("--no-cache", action="store_true", help="leave the cache off")
    known = planted_bugs()
    parser.add_argument("--planted", choices=("all", *known), help="plant this bug in the cache: it must be caught")
    options = parser.parse_args()
    if options.minutes <= 0 or options.proxies < 1:
        parser.error("--minutes must be above 0 and --proxies at least 1")
    if options.planted and not CACHE_EXISTS:
        parser.error("there is no cache to plant a bug in")
    if not isolated():
        parser.error("the embedded Milvus would listen on every address: run it with make check-consistency")
    console = Console(width=None if sys.stdout.isatty() else 150)
    if options.planted:
        bugs = known if options.planted == "all" else (options.planted,)
        build_planted()
        return asyncio.run(_hunt(bugs, options.minutes, console))
    cache = CACHE_EXISTS and not options.no_cache
    return asyncio.run(_check(options.minutes, options.proxies, console, cache=cache))


async def _hunt(bugs: tuple[str, ...], minutes: float, console: Console) -> int:
    async with scene(_PROXIES_OF_BUGS, _SESSION_OF_BUGS) as found:
        caught = [await hunt(found, bug, minutes * 60, console.print) for bug in bugs]
    console.print(f"{sum(caught)} of {len(bugs)} planted bugs are caught.")
    return 0 if all(caught) else 1


async def _check(minutes: float, proxies: int, console: Console, *, cache: bool) -> int:
    async with scene(proxies) as found:
        machine = Machine(found.first.folder)
        lead = Lead(found.first.relay)
        chosen = faults(machine, lead, proxies)
        recorded = await run(
            found,
            minutes * 60,
            chosen,
            lambda fault: console.print(f"  {fault}"),
            machine=machine,
            lead=lead,
            cache=cache,
        )
    rows = judge(recorded)
    console.print(table(rows, recorded, ARMS))
    if recorded.reasons:
        reasons = sorted(recorded.reasons.items(), key=lambda item: -item[1])
        console.print("Bypass: " + ", ".join(f"{reason} {count:,}" for reason, count in reasons))
    wrong = 0
    for arm in (KITEWAY, ENVOY):
        found_wrong = sorted(verdicts(rows, arm), key=lambda verdict: -verdict.late)
        for verdict in found_wrong[:10]:
            console.print(f"  {verdict}", soft_wrap=True)
        wrong += len(found_wrong) or not reads(rows, arm)
        late = max((verdict.late for verdict in late_in_milvus(rows, arm)), default=None)
        if late is not None:
            console.print(f"  {arm}: Milvus itself answered as before a change up to {late:.2f} s after it")
    if not verdicts(rows, LIAR):
        console.print("The planted lie was not caught: this run shows nothing.")
        wrong += 1
    for outcome, least in _LEAST_A_MINUTE.items() if cache else ():
        count = reads(rows, KITEWAY, outcome)
        if count < least * minutes:
            console.print(
                f"Only {count:,} reads are '{outcome}', fewer than {least} a minute: this run shows too little."
            )
            wrong += 1
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
