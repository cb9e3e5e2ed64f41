"""
A burst of five times Milvus's capacity: how long the admitted calls take, when the others are refused, how soon it is over.

One Envoy with the filter stands before a real Milvus, once for each limit of reads. One user's searches arrive at random times that
do not depend on the answers (open loop, Poisson): at a share of the capacity, then for 30 s at five times the capacity, then as
before. Another user sends a few searches all the time and stays below its share.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from typing import Any, Self

import grpc.aio
from pymilvus.grpc_gen import milvus_pb2

from bench.backends import SERVICE
from bench.collection import DIMENSION, search_message
from bench.limited import credentials
from bench.outcome import BenchError, Context, Outcome, Table
from bench.rounds import ROWS, measure_in_rounds, rounds_of
from bench.stats import quantile
from kiteway.filter import filter_path
from tools.in_netns import isolated

_TITLE = "Burst"
_VECTORS, _LIMIT = 100, 300
_CONNECTIONS = 4
_WARM_UP_SECONDS, _CAPACITY_SECONDS, _CALLERS = 3.0, 8.0, 8
_BASE_SHARE, _BURST_FACTOR = 0.6, 5.0
_BEFORE_SECONDS, _BURST_SECONDS, _AFTER_SECONDS = 20.0, 30.0, 15.0
_SMALL_RATE = 2.0
_WAIT_MS = 1000
_CALL_SECONDS = 60.0
_RATE_LIMIT = 8
_WINDOW_SECONDS, _STEP_SECONDS, _BACK_FACTOR = 3.0, 0.1, 1.5

_POLICIES: Mapping[str, dict[str, Any]] = {"2 reads": {"reads": 2}, "adaptive": {"adaptive": True}}


@dataclass(frozen=True)
class Call:
    """
    A call of the load.

    Attributes:
        at: seconds from the beginning of the load until it was due.
        seconds: from then until its answer.
        late: seconds from then until the client made it.
        refused: whether the answer was a refusal.
    """

    at: float
    seconds: float
    late: float
    refused: bool


@dataclass(frozen=True)
class Phase:
    """
    What was seen of the calls of a time.

    Attributes:
        offered: calls a second that were due.
        answered: calls a second that Milvus answered.
        p50: milliseconds of calls that Milvus answered; likewise ``p99``.
        refusal_p50: milliseconds until a refusal, 0 without one; likewise ``refusal_p99`` and ``refusal_most``.
        refused: how many were refused.
    """

    offered: float
    answered: float
    p50: float
    p99: float
    refusal_p50: float
    refusal_p99: float
    refusal_most: float
    refused: int


@dataclass(frozen=True)
class Measured:
    """
    What was measured once.

    Attributes:
        capacity: searches a second that Milvus answers at most through this policy.
        before, burst, after: the phases of the load.
        small: the user below its share, during the burst.
        late: milliseconds by which the client made calls late, p99 in the burst.
        back: seconds after the burst until calls are as fast as before; None if they never were.
    """

    capacity: float
    before: Phase
    burst: Phase
    after: Phase
    small: Phase
    late: float
    back: float | None


async def run(context: Context) -> Outcome:
    """
    Measure with Milvus.

    Raises:
        BenchError: Envoy cannot be started, or an answer was wrong.
    """
    text = (
        (
            f"One user's searches of {_VECTORS} vectors for {_LIMIT} rows each arrive at random times, whether the others are "
            f"answered or not (Poisson): {_BASE_SHARE:g} of the capacity for {_BEFORE_SECONDS:g} s, {_BURST_FACTOR:g} times the "
            f"capacity for {_BURST_SECONDS:g} s, then {_BASE_SHARE:g} again. Capacity is what {_CALLERS} callers get that wait for "
            f"each answer, beside the other user. That one sends {_SMALL_RATE:g} such searches a second all the time. The collection has {ROWS:,} rows of "
            f"{DIMENSION} dimensions; a call waits {_WAIT_MS} ms at most. {rounds_of(context)} rounds for each line; Milvus, Envoy and the client "
            "share the machine."
        ),
        (
            f"“Back after” is when, after the burst, the p99 of the calls of the next {_WINDOW_SECONDS:g} s is at most "
            f"{_BACK_FACTOR:g} times that before, and none of them is refused."
        ),
    )
    if not isolated() or filter_path() is None:
        needs = "Burst: it needs a network namespace of its own and the filter."
        return Outcome(_TITLE, text, (), (), {}, (needs,))

    async def measure(_name: str, port: int, number: int) -> Measured:
        return await _measure(port, number)

    found = await measure_in_rounds(context, _POLICIES, measure, _said, wait_ms=_WAIT_MS)
    data = {name: [asdict(one) for one in each] for name, each in found.items()}
    return Outcome(_TITLE, text, _tables(found), (), data)


def _said(one: Measured) -> str:
    return (
        f"{one.capacity:.0f} a second; p99 before {one.before.p99:.0f} ms, in the burst {one.burst.p99:.0f} ms; "
        f"{one.burst.refused} refused, the last after {one.burst.refusal_most:.0f} ms"
    )


async def _measure(port: int, seed: int) -> Measured:
    chance = random.Random(seed)
    async with _Client(port) as client:
        capacity = await client.capacity()
        end = _BEFORE_SECONDS + _BURST_SECONDS
        rates = (
            (0.0, _BEFORE_SECONDS, _BASE_SHARE * capacity),
            (_BEFORE_SECONDS, end, _BURST_FACTOR * capacity),
            (end, end + _AFTER_SECONDS, _BASE_SHARE * capacity),
        )
        due = [at for begins, ends, rate in rates for at in _arrivals(chance, begins, ends, rate)]
        small = _arrivals(chance, 0.0, end + _AFTER_SECONDS, _SMALL_RATE)
        began = time.perf_counter()
        calls, small_calls = await asyncio.gather(client.load("load", due, began), client.load("small", small, began))
    before, burst, after = (_phase(_between(calls, begins, ends), ends - begins) for begins, ends, _ in rates)
    others = _phase(_between(small_calls, _BEFORE_SECONDS, end), _BURST_SECONDS)
    late = quantile([call.late * 1e3 for call in _between(calls, _BEFORE_SECONDS, end)], 0.99)
    return Measured(capacity, before, burst, after, others, late, _back(calls, end, before.p99))


def _arrivals(chance: random.Random, begins: float, ends: float, rate: float) -> list[float]:
    """Return the times of a Poisson process of so many a second."""
    times = itertools.accumulate(iter(lambda: chance.expovariate(rate), None), initial=begins)
    return list(itertools.takewhile(lambda at: at < ends, times))


def _between(calls: Sequence[Call], begins: float, ends: float) -> list[Call]:
    return [call for call in calls if begins <= call.at < ends]


def _phase(calls: Sequence[Call], seconds: float) -> Phase:
    answered = [call.seconds * 1e3 for call in calls if not call.refused]
    refused = [call.seconds * 1e3 for call in calls if call.refused]
    if not answered:
        raise BenchError(f"Milvus answered none of {len(calls)} calls")
    return Phase(
        offered=len(calls) / seconds,
        answered=len(answered) / seconds,
        p50=quantile(answered, 0.5),
        p99=quantile(answered, 0.99),
        refusal_p50=quantile(refused, 0.5) if refused else 0.0,
        refusal_p99=quantile(refused, 0.99) if refused else 0.0,
        refusal_most=max(refused, default=0.0),
        refused=len(refused),
    )


def _back(calls: Sequence[Call], end: float, p99: float) -> float | None:
    """Return after how many seconds the calls are as fast as before."""
    steps = int((_AFTER_SECONDS - _WINDOW_SECONDS) / _STEP_SECONDS)
    for after in (step * _STEP_SECONDS for step in range(steps + 1)):
        window = _between(calls, end + after, end + after + _WINDOW_SECONDS)
        is_fast = quantile([call.seconds * 1e3 for call in window], 0.99) <= _BACK_FACTOR * p99
        if is_fast and not any(call.refused for call in window):
            return after
    return None


class _Client:
    """A client of Envoy with a few connections; an asynchronous context manager."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._stack = AsyncExitStack()
        self._search: list[grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]] = []
        self._message = search_message(_VECTORS, _LIMIT, seed=1)
        self._next = 0

    async def __aenter__(self) -> Self:
        options = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0)]
        for _ in range(_CONNECTIONS):
            channel = grpc.aio.insecure_channel(f"127.0.0.1:{self._port}", options)
            await self._stack.enter_async_context(channel)
            await asyncio.wait_for(channel.channel_ready(), _CALL_SECONDS)
            self._search.append(channel.unary_unary(f"{SERVICE}/Search"))
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self._stack.aclose()

    async def capacity(self) -> float:
        """
        Return the searches a second that some callers get, each of which waits for its answers.

        The other user sends its few searches meanwhile: where there are several users, a place is kept for others.
        """
        began = time.perf_counter()
        counted_from, end = began + _WARM_UP_SECONDS, began + _WARM_UP_SECONDS + _CAPACITY_SECONDS

        async def caller() -> int:
            count = 0
            while time.perf_counter() < end:
                refused = await self._call("load")
                count += not refused and counted_from <= time.perf_counter() < end
            return count

        await self._call("small")
        due = [number / _SMALL_RATE for number in range(int((_WARM_UP_SECONDS + _CAPACITY_SECONDS) * _SMALL_RATE))]
        counts, _ = await asyncio.gather(
            asyncio.gather(*(caller() for _ in range(_CALLERS))), self.load("small", due, began)
        )
        return sum(counts) / _CAPACITY_SECONDS

    async def load(self, user: str, due: Sequence[float], began: float) -> list[Call]:
        """Make a call at each time, in seconds from ``began``, whether or not the others are answered."""

        async def one(at: float) -> Call:
            late = time.perf_counter() - began - at
            refused = await self._call(user)
            return Call(at, time.perf_counter() - began - at, late, refused)

        calls: list[asyncio.Future[Call]] = []
        for at in due:
            await asyncio.sleep(max(0.0, began + at - time.perf_counter()))
            calls.append(asyncio.ensure_future(one(at)))
        return await asyncio.gather(*calls)

    async def _call(self, user: str) -> bool:
        """
        Search; whether it was refused.

        Raises:
            BenchError: it failed in another way, or the answer is wrong.
        """
        self._next = (self._next + 1) % _CONNECTIONS
        metadata = (("authorization", credentials(user)),)
        try:
            answer = await self._search[self._next](self._message, timeout=_CALL_SECONDS, metadata=metadata)
        except grpc.aio.AioRpcError as error:
            raise BenchError(f"a search: {error.code().name} {error.details()}") from error
        results = milvus_pb2.SearchResults.FromString(answer)
        if results.status.code == _RATE_LIMIT:
            return True
        if results.status.code or list(results.results.topks) != [_LIMIT] * _VECTORS:
            raise BenchError(f"a search: {results.status.reason or results.results.topks}")
        return False


def _tables(found: Mapping[str, Sequence[Measured]]) -> list[Table]:
    admitted, refused, small = [], [], []
    for name, one in ((name, one) for name, measured in found.items() for one in measured):
        before, burst, after = one.before, one.burst, one.after
        back = "never" if one.back is None else f"{one.back:.1f}"
        times = (f"{phase.p50:.0f} / {phase.p99:.0f}" for phase in (before, burst, after))
        admitted.append([name, *times, f"{burst.p99 / before.p99:.1f}", back])
        until = f"{burst.refusal_p50:.0f} / {burst.refusal_p99:.0f} / {burst.refusal_most:.0f}"
        rates = f"{one.capacity:.0f} / {burst.offered:.0f} / {burst.answered:.0f}"
        refused.append([name, rates, until, f"{before.refused} / {burst.refused} / {after.refused}", f"{one.late:.0f}"])
        small.append([name, f"{one.small.p50:.0f} / {one.small.p99:.0f}", f"{one.small.refused}"])
    of_admitted = ["", "before, ms", "burst, ms", "after, ms", "p99 burst / before", "back after, s"]
    of_refused = [
        "",
        "capacity / offered / answered, a second",
        "refused after, p50 / p99 / most, ms",
        "refused before / burst / after",
        "client late, p99, ms",
    ]
    return [
        Table("A burst of five times the capacity: answered calls, p50 / p99", of_admitted, admitted),
        Table("The same: refused calls", of_refused, refused),
        Table("A user below its share, in the burst", ["", "p50 / p99, ms", "refused"], small),
    ]
