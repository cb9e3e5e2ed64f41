"""Hits beside the same search by Milvus, and beside a constant answer of the filter."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from bench.backends import SERVICE, Request, search
from bench.balancers import DIRECT, HOST, Running
from bench.collection import Questions
from bench.load import CONNECTIONS, STREAMS, Call, Load, h2load
from bench.outcome import Bar, BenchError, Chart, Context, Table
from bench.stats import quantile

KITEWAY, CACHE, CONSTANT = "Kiteway", "Kiteway, cache", "constant answer"
_PILOT_CALLS = 200
_READY_SECONDS = 60.0
_RENEWALS_A_SECOND, _RENEWALS = 5, 5
"""A kept answer serves for 4 s, so a few calls are searches of Milvus; more are a fault."""
_SIZE_TOLERANCE = 0.1


@dataclass(frozen=True)
class Block:
    """One contestant measured once: calls, what h2load saw, CPU seconds of Envoy, searches that Milvus counted."""

    calls: int
    load: Load
    cpu: float
    searches: int

    @property
    def rate(self) -> float:
        """Calls a second."""
        return self.calls / self.load.seconds

    @property
    def cpu_per_call(self) -> float:
        """Microseconds of CPU of Envoy for a call."""
        return self.cpu / self.calls * 1e6


async def hits(
    context: Context, started: Mapping[str, Running], questions: Questions, searched: Callable[[], int]
) -> tuple[Table, Chart, dict[str, Any]]:
    """
    Repeat one search through each contestant, and `Connect` through the one with the constant answer.

    Raises:
        BenchError: a call failed, or what should be hits were searches of Milvus.
    """
    request = Request(f"{SERVICE}/Search", questions[0], search(1).check)
    body = context.work / "hit.grpc"
    body.write_bytes(request.frame())
    log = context.work / "h2load.log"
    paths = dict.fromkeys(started, request.path) | {CONSTANT: f"{SERVICE}/Connect"}
    calls = {name: Call(path, body, CONNECTIONS, STREAMS) for name, path in paths.items()}

    def load(name: str, number: int) -> Load:
        port = started[name].port
        return h2load(context.programs["h2load"], calls[name], host=HOST, port=port, calls=number, log=log)

    _until_hits(lambda: load(CACHE, _PILOT_CALLS), searched)
    numbers = dict.fromkeys(calls, _PILOT_CALLS)
    for name in (*calls, *calls):  # twice: the first load is mostly new connections
        seconds = load(name, numbers[name]).seconds
        numbers[name] = max(_PILOT_CALLS, round(numbers[name] / seconds * context.block_seconds))
    rounds: list[dict[str, Block]] = []
    for number in range(1, max(1, context.rounds // 4) + 1):
        rounds.append({})
        for name in random.sample(sorted(calls), len(calls)):
            running, before = started[name], searched()
            _, envoy = running.meters()
            seen = load(name, numbers[name])
            rounds[-1][name] = Block(numbers[name], seen, envoy.seconds(), searched() - before)
        _check(rounds[-1])
        rates = ", ".join(f"{name} {block.rate:.0f}" for name, block in sorted(rounds[-1].items()))
        context.say(f"hits: round {number}, calls a second: {rates}")
    chart = _chart(rounds)
    return _table(rounds), chart, {"rounds": [{name: asdict(block) for name, block in each.items()} for each in rounds]}


def _until_hits(load: Callable[[], Load], searched: Callable[[], int]) -> None:
    end = time.monotonic() + _READY_SECONDS
    before = searched()
    while True:
        load()
        after = searched()
        if after - before <= 1:
            return
        if time.monotonic() > end:
            raise BenchError("the cache answers no repeated search")
        before = after


def _check(blocks: Mapping[str, Block]) -> None:
    """
    Check that few searches of the cache's and the constant blocks reached Milvus, and that answers have the right size.

    Raises:
        BenchError: they were not.
    """
    for name in (CACHE, CONSTANT):
        block = blocks[name]
        if block.searches > _RENEWALS + _RENEWALS_A_SECOND * block.load.seconds:
            raise BenchError(f"{name}: {block.searches} of {block.calls} calls were searches of Milvus")
    right = blocks[DIRECT].load.answer_bytes
    for name in (KITEWAY, CACHE):
        if abs(blocks[name].load.answer_bytes - right) > _SIZE_TOLERANCE * right:
            raise BenchError(f"{name}: {blocks[name].load.answer_bytes:.0f} bytes for an answer of {right:.0f}")
    if blocks[CONSTANT].load.answer_bytes == 0:
        raise BenchError("the filter answered Connect with nothing")


def _table(rounds: Sequence[Mapping[str, Block]]) -> Table:
    rows = []
    for name in (DIRECT, KITEWAY, CACHE, CONSTANT):
        blocks = [each[name] for each in rounds]
        rows.append(
            [
                name,
                f"{statistics.median(block.rate for block in blocks):,.0f}",
                f"{statistics.median(each[name].rate / each[DIRECT].rate for each in rounds):.2f}",
                f"{statistics.median(each[name].rate / each[CONSTANT].rate for each in rounds):.2f}",
                "" if name == DIRECT else f"{statistics.median(block.cpu_per_call for block in blocks):.1f}",
                ""
                if name == DIRECT
                else f"{statistics.median(each[name].cpu_per_call / each[CONSTANT].cpu_per_call for each in rounds):.2f}",
                f"{statistics.median(block.load.p50 for block in blocks) / 1000:.2f}",
                f"{statistics.median(block.load.p99 for block in blocks) / 1000:.2f}",
            ]
        )
    header = ["", "calls/s", "/ direct", "/ constant", "CPU µs", "/ constant", "p50 ms", "p99 ms"]
    return Table("One search, repeated; CPU time of Envoy for a call", header, rows)


def _chart(rounds: Sequence[Mapping[str, Block]]) -> Chart:
    bars = []
    for name in (DIRECT, KITEWAY, CACHE, CONSTANT):
        times = [1e6 / each[name].rate for each in rounds]
        bars.append(
            Bar(name, statistics.median(times), quantile(times, 0.25), quantile(times, 0.75), name in {KITEWAY, CACHE})
        )
    return Chart("One search, repeated: time of the whole machine for a call", "µs", bars)
