"""The frame of the benches of admission: a real Milvus, and in each round every line once, before an Envoy with its limits."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

import pymilvus

from bench.collection import fill
from bench.limited import limited_envoy
from bench.outcome import Context
from kiteway.milvus.embedded import StandaloneMilvus

T = TypeVar("T")

ROWS = 20_000
"""Rows of the collection."""


def rounds_of(context: Context) -> int:
    """Return how many rounds there are: each takes minutes."""
    return max(1, context.rounds // 8)


async def measure_in_rounds(
    context: Context,
    policies: Mapping[str, dict[str, Any]],
    measure: Callable[[str, int, int], Awaitable[T]],
    said: Callable[[T], str],
    *,
    wait_ms: int,
) -> dict[str, list[T]]:
    """
    Return what was measured of each line, once for each round.

    The order of the lines differs from round to round, so that none always follows the same one.

    Args:
        context: the settings of the bench.
        policies: by the name of a line the limits of the filter's `admission`; empty for a route without a policy.
        measure: measures a line; called with its name, the port of Envoy and the number of the round.
        said: what to print of a measurement.
        wait_ms: milliseconds that a call waits at most.

    Raises:
        BenchError: Envoy cannot be started, or an answer was wrong.
    """
    rounds = rounds_of(context)
    found: dict[str, list[T]] = {name: [] for name in policies}
    context.say("starting Milvus")
    async with StandaloneMilvus(context.work / "milvus") as milvus:
        fill(pymilvus.MilvusClient(f"http://127.0.0.1:{milvus.endpoint.port}"), ROWS)
        for number in range(1, rounds + 1):
            order = list(policies)
            random.Random(number).shuffle(order)
            for name in order:
                with limited_envoy(context.work, milvus.endpoint.port, policies[name], wait_ms=wait_ms) as port:
                    one = await measure(name, port, number)
                found[name].append(one)
                context.say(f"round {number} of {rounds}, {name}: {said(one)}")
    return found
