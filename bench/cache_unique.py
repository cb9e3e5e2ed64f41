"""Searches that never repeat: what the cache costs where it saves nothing."""

from __future__ import annotations

import asyncio
import itertools
import random
import statistics
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack
from typing import Any

from bench.balancers import Running
from bench.cache_hits import CACHE, KITEWAY
from bench.collection import Questions
from bench.outcome import BenchError, Context, Table
from bench.reads import UNCHANGED, Reader, Seen
from bench.stats import quantile

_CALLS = 800
"""The searches of one block."""
_CONNECTIONS = 4
_UNDER_WAY = 32
_UNCHANGED = 0.9
"""The share of the searches of a block that the cache sends unchanged once it knows that they do not repeat."""
_MOST_BLOCKS = 30


async def unique(
    context: Context, started: Mapping[str, Running], questions: Questions
) -> tuple[Table, dict[str, Any]]:
    """
    Search for another vector each time, in blocks through Kiteway without and with the cache in turns.

    The blocks count from the moment when the cache knows that the questions do not repeat; those before are a row of their
    own.

    Raises:
        BenchError: a search failed, or the cache does not notice that no question repeats.
    """
    cpu: dict[str, list[float]] = {name: [] for name in started}
    outcomes: dict[str, Counter[str]] = {name: Counter() for name in started}
    numbers = itertools.count()
    async with AsyncExitStack() as stack:
        readers = {
            name: await stack.enter_async_context(Reader(running.port, _CONNECTIONS))
            for name, running in started.items()
        }

        async def block(name: str) -> tuple[float, dict[str, int]]:
            _, envoy = started[name].meters()
            seen = await _block(readers[name], questions, itertools.islice(numbers, _CALLS))
            return envoy.seconds() / _CALLS * 1e6, seen.outcomes

        first_without, _ = await block(KITEWAY)
        before = await _until_unchanged(lambda: block(CACHE))
        for _ in range(context.rounds):
            for name in random.sample(sorted(started), len(started)):
                micros, seen = await block(name)
                cpu[name].append(micros)
                outcomes[name].update(seen)
    first = statistics.mean(micros for micros, _ in before)
    ratios = [with_cache / without for with_cache, without in zip(cpu[CACHE], cpu[KITEWAY], strict=True)]
    low, ratio, high = (quantile(ratios, part) for part in (0.25, 0.5, 0.75))
    context.say(f"searches that never repeat: {ratio:.3f} of the CPU time without the cache, {dict(outcomes[CACHE])}")
    rows = [
        [KITEWAY, f"{statistics.median(cpu[KITEWAY]):.0f}", "1", ""],
        [f"{CACHE}, steady", f"{statistics.median(cpu[CACHE]):.0f}", f"{ratio:.3f}", f"{low:.3f} to {high:.3f}"],
        [f"{CACHE}, the first {_CALLS * len(before)}", f"{first:.0f}", f"{first / first_without:.3f}", ""],
    ]
    header = ["", "Envoy's CPU µs a call", "of Kiteway", "middle half"]
    data = {"cpu": cpu, "outcomes": outcomes[CACHE], "first": [first_without, before]}
    return Table("Searches that never repeat", header, rows), data


async def _until_unchanged(
    block: Callable[[], Awaitable[tuple[float, dict[str, int]]]],
) -> list[tuple[float, dict[str, int]]]:
    blocks = list[tuple[float, dict[str, int]]]()
    while len(blocks) < _MOST_BLOCKS:
        blocks.append(await block())
        if blocks[-1][1].get(UNCHANGED, 0) >= _UNCHANGED * _CALLS:
            return blocks
    raise BenchError(f"the cache still looks for answers to searches that never repeat: {blocks[-1][1]}")


async def _block(reader: Reader, questions: Questions, numbers: Iterator[int]) -> Seen:
    seen = Seen()

    async def some() -> None:
        for number in numbers:
            await reader.read(questions[number], seen)

    await asyncio.gather(*(some() for _ in range(_UNDER_WAY)))
    return seen
