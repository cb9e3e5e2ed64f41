"""
``python -m tests.consistency [--minutes M] [--proxies N]``: histories on a real Milvus, every read judged.

The same rows are read through Kiteway, through plain Envoy (what Milvus itself answers) and through a liar that repeats
old answers, while proxies, the broker, the control plane and Kiteway's Envoy are killed or stopped in turn. What an
alias's former collection answers later than 1 s after the move is counted apart: a proxy of Milvus that was stopped or cut
off meanwhile does that by itself. Exit status: 0 no read through Kiteway or Envoy is in violation and the liar is caught, 1 otherwise, 2 usage.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import sys
import time

from pymilvus import MilvusClient
from rich.console import Console

from kiteway.milvus.embedded.ports import free_ports
from tests.chaos.balancers import kiteway, plain_envoy, wait_serving
from tests.chaos.faults import FAULTS, System
from tests.chaos.world import World, world
from tests.consistency.liar import liar
from tests.consistency.load import Arm, Clients, prepare
from tests.consistency.records import Recorded
from tests.consistency.report import former, judge, reads, table, verdicts
from tests.support.reads import channel
from tools.in_netns import isolated

_KITEWAY, _ENVOY, _LIAR = "Kiteway", "Envoy", "liar"
_LIE_SECONDS = 10.0
_PAUSE = 5.0
"""Seconds without a fault between two."""

_OF_ONE = ("broker gone", "slow proxy", "connections reset", "control plane killed", "Envoy killed")
_OF_MANY = ("kill -9 of a proxy", "SIGSTOP short", *_OF_ONE)


def main() -> int:
    """Run, judge and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.consistency")
    parser.add_argument("--minutes", type=float, default=3.0, help="how long (default 3)")
    parser.add_argument("--proxies", type=int, default=3, help="how many proxies Milvus has (default 3)")
    options = parser.parse_args()
    if options.minutes <= 0 or options.proxies < 1:
        parser.error("--minutes must be above 0 and --proxies at least 1")
    if not isolated():
        parser.error("the embedded Milvus would listen on every address: run it with make check-consistency")
    console = Console(width=None if sys.stdout.isatty() else 150)
    recorded = asyncio.run(_record(options.proxies, options.minutes * 60, console))
    rows = judge(recorded)
    console.print(table(rows, recorded, (_KITEWAY, _ENVOY, _LIAR)))
    wrong = 0
    for arm in (_KITEWAY, _ENVOY):
        found = sorted(verdicts(rows, arm), key=lambda verdict: -verdict.late)
        for verdict in found[:5]:
            console.print(f"  {verdict}")
        wrong += len(found) or not reads(rows, arm)
        late = max((verdict.late for verdict in former(rows, arm)), default=None)
        if late is not None:
            console.print(f"  {arm}: an alias's former collection answered up to {late:.2f} s after the move")
    if not verdicts(rows, _LIAR):
        console.print("The planted lie was not caught: this run shows nothing.")
        wrong += 1
    return 1 if wrong else 0


async def _record(proxies: int, seconds: float, console: Console) -> Recorded:
    async with world(proxies) as found:
        with contextlib.ExitStack() as stack:
            ours, envoy = free_ports(2)
            running = stack.enter_context(kiteway(found, ours))
            stack.enter_context(plain_envoy(found, envoy))
            targets = [found.target(_KITEWAY, ours), found.target(_ENVOY, envoy)]
            for target in targets:
                await asyncio.to_thread(wait_serving, target)
            await asyncio.to_thread(_prepare, found)
            upstream = stack.enter_context(targets[1].connect())
            port = stack.enter_context(liar(upstream, _LIE_SECONDS))
            clients = Clients(
                (
                    Arm(_KITEWAY, targets[0].connect, writes=True, moves=True),
                    Arm(_ENVOY, targets[1].connect, writes=True),
                    Arm(_LIAR, lambda: channel(f"127.0.0.1:{port}", None, None)),
                )
            )
            with clients.running():
                await _disturb(System(found, running), seconds, _OF_ONE if proxies == 1 else _OF_MANY, console)
        return clients.recorded


def _prepare(found: World) -> None:
    at, name = found.cluster.endpoints[0], "localhost"
    client = MilvusClient(f"https://127.0.0.1:{at.port}", server_pem_path=str(found.backend), server_name=name)
    prepare(client)
    client.close()


async def _disturb(system: System, seconds: float, names: tuple[str, ...], console: Console) -> None:
    """Do one fault after the other until the time is over; a fault that has begun is ended."""
    faults = [next(fault for fault in FAULTS if fault.name.startswith(name)) for name in names]
    end = time.monotonic() + seconds
    for fault in itertools.cycle(faults):
        await asyncio.sleep(min(_PAUSE, max(0.0, end - time.monotonic())))
        if time.monotonic() >= end:
            return
        console.print(f"  {fault.name}")
        await fault.harm(system)


if __name__ == "__main__":
    sys.exit(main())
