"""Searches that never repeat: what the cache costs where it saves nothing."""

from __future__ import annotations

import asyncio
import itertools
import random
import statistics
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack
from typing import Any

from bench.balancers import Running
from bench.cache_hits import CACHE, KITEWAY
from bench.collection import Questions
from bench.outcome import Context, Table
from bench.reads import Reader, Seen
from bench.stats import quantile

_CALLS = 800
"""The searches of one block."""
_CONNECTIONS = 4
_UNDER_WAY = 32


async def unique(
    context: Context, started: Mapping[str, Running], questions: Questions
) -> tuple[Table, dict[str, Any]]:
    """
    Search for another vector each time, in blocks through Kiteway without and with the cache in turns.

    Raises:
        BenchError: a search failed.
    """
    cpu: dict[str, list[float]] = {name: [] for name in started}
    outcomes: dict[str, Counter[str]] = {name: Counter() for name in started}
    numbers = itertools.count()
    async with AsyncExitStack() as stack:
        readers = {
            name: await stack.enter_async_context(Reader(running.port, _CONNECTIONS))
            for name, running in started.items()
        }
        for round_number in range(-1, context.rounds):  # the first is mostly new connections
            for name in random.sample(sorted(started), len(started)):
                _, envoy = started[name].meters()
                seen = await _block(readers[name], questions, itertools.islice(numbers, _CALLS))
                if round_number >= 0:
                    cpu[name].append(envoy.seconds() / _CALLS * 1e6)
                    outcomes[name].update(seen.outcomes)
    ratios = [with_cache / without for with_cache, without in zip(cpu[CACHE], cpu[KITEWAY], strict=True)]
    low, ratio, high = (quantile(ratios, part) for part in (0.25, 0.5, 0.75))
    context.say(f"searches that never repeat: {ratio:.3f} of the CPU time without the cache, {dict(outcomes[CACHE])}")
    rows = [
        [KITEWAY, f"{statistics.median(cpu[KITEWAY]):.0f}", "1", ""],
        [CACHE, f"{statistics.median(cpu[CACHE]):.0f}", f"{ratio:.3f}", f"{low:.3f} to {high:.3f}"],
    ]
    header = ["", "Envoy's CPU µs a call", "of Kiteway", "middle half"]
    return Table("Searches that never repeat", header, rows), {"cpu": cpu, "outcomes": outcomes[CACHE]}


async def _block(reader: Reader, questions: Questions, numbers: Iterator[int]) -> Seen:
    seen = Seen()

    async def some() -> None:
        for number in numbers:
            await reader.read(questions[number], seen)

    await asyncio.gather(*(some() for _ in range(_UNDER_WAY)))
    return seen
