"""
What a flood of heavy searches costs a client with single ones, with and without admission.

One Envoy with the filter stands before a real Milvus, once without a policy and once for each limit of reads. In each round
the single searches are measured alone, beside the flood without a policy, and beside it with each limit.
"""

from __future__ import annotations

import re
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import grpc
from pymilvus.grpc_gen import milvus_pb2

from bench.backends import SERVICE
from bench.collection import DIMENSION, search_message
from bench.limited import credentials
from bench.outcome import Bar, BenchError, Chart, Context, Outcome, Table
from bench.rounds import ROWS, measure_in_rounds, rounds_of
from bench.stats import quantile
from kiteway.filter import filter_path
from tools.in_netns import isolated

_TITLE = "Fairness"
_FLOOD_VECTORS, _FLOOD_LIMIT, _FLOOD_STREAMS = 100, 1000, 32
_HEAVY = 5
_PAUSE = 0.2
_SECONDS = 40.0
_WARM_UP_SECONDS = 5.0
_WAIT_MS = 30_000
_SUCCEEDED = re.compile(r"^requests: .*? (\d+) succeeded, (\d+) failed, (\d+) errored", re.MULTILINE)
_DATA = re.compile(r"^traffic: .*\((\d+)\) data", re.MULTILINE)

ALONE, WITHOUT = "alone", "no admission"
_POLICIES: Mapping[str, dict[str, Any]] = {
    WITHOUT: {},
    "1 read": {"reads": 1},
    "2 reads": {"reads": 2},
    "3 reads": {"reads": 3},
    "adaptive": {"adaptive": True},
}


@dataclass(frozen=True)
class Measured:
    """
    What was measured once.

    Attributes:
        milliseconds: of each single search.
        flood: how many searches of the flood a second were answered.
        heavy: milliseconds of a search of the flood that runs alone; 0 where the flood runs.
    """

    milliseconds: Sequence[float]
    flood: float
    heavy: float


async def run(context: Context) -> Outcome:
    """
    Measure with Milvus.

    Raises:
        BenchError: Envoy cannot be started, or an answer was wrong.
    """
    text = (
        (
            f"One client floods Milvus with searches of {_FLOOD_VECTORS} vectors for {_FLOOD_LIMIT:,} rows each, "
            f"{_FLOOD_STREAMS} at a time. Another sends single searches for 10 rows, one every {_PAUSE:g} s. Both are users of "
            f"their own; the collection has {ROWS:,} rows of {DIMENSION} dimensions. {rounds_of(context)} rounds of "
            f"{_SECONDS:g} s for each line; Milvus, Envoy and both clients share the machine."
        ),
    )
    if not isolated() or filter_path() is None or "h2load" not in context.programs:
        needs = "Fairness: it needs a network namespace of its own, h2load and the filter."
        return Outcome(_TITLE, text, (), (), {}, (needs,))

    async def measure(name: str, port: int, _number: int) -> Measured:
        return _measure(context, port, flooded=name != ALONE)

    found = await measure_in_rounds(context, {ALONE: {}, **_POLICIES}, measure, _said, wait_ms=_WAIT_MS)
    return _outcome(text, found)


def _said(one: Measured) -> str:
    return f"p99 {quantile(one.milliseconds, 0.99):.1f} ms, flood {one.flood:.1f} a second"


def _outcome(text: Sequence[str], found: Mapping[str, Sequence[Measured]]) -> Outcome:
    times = {name: [each for one in rounds for each in one.milliseconds] for name, rounds in found.items()}
    p99 = {name: quantile(values, 0.99) for name, values in times.items()}
    flood = {name: sum(one.flood for one in rounds) / len(rounds) for name, rounds in found.items()}
    rows = [
        [
            name,
            f"{quantile(times[name], 0.5):.1f}",
            f"{p99[name]:.1f}",
            f"{p99[name] / p99[ALONE]:.2f}",
            "" if name == ALONE else f"{flood[name]:.1f}",
            "" if name == ALONE else f"{flood[name] / flood[WITHOUT]:.2f}",
        ]
        for name in found
    ]
    heavy = sum(one.heavy for one in found[ALONE]) / len(found[ALONE])
    text = [
        *text,
        (
            f"A heavy search that runs alone takes {heavy:.0f} ms. Milvus works on it in pieces that a search which comes later "
            "waits for, so a single search that meets one takes about as long."
        ),
    ]
    header = ["", "p50, ms", "p99, ms", "p99 / alone", "flood, a second", "flood / no admission"]
    bars = [
        Bar(name, p99[name], quantile(times[name], 0.5), quantile(times[name], 0.99), name not in {ALONE, WITHOUT})
        for name in found
    ]
    data = {name: [asdict(one) for one in each] for name, each in found.items()}
    chart = Chart("Single searches beside a flood, p99 (whisker from p50)", "milliseconds", bars)
    return Outcome(_TITLE, text, [Table("Single searches beside a flood", header, rows)], [chart], data)


def _measure(context: Context, port: int, *, flooded: bool) -> Measured:
    """Measure single searches, beside the flood or not, once both have run for a while."""
    with grpc.insecure_channel(f"127.0.0.1:{port}", [("grpc.max_receive_message_length", -1)]) as channel:
        search: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(f"{SERVICE}/Search")
        message = search_message(1, 10, seed=1)
        metadata: tuple[tuple[str, str | bytes], ...] = (("authorization", credentials("single")),)

        def one() -> float:
            began = time.perf_counter()
            answer = milvus_pb2.SearchResults.FromString(search(message, timeout=30, metadata=metadata))
            if answer.status.code or list(answer.results.topks) != [10]:
                raise BenchError(f"a single search: {answer.status.reason or answer.results.topks}")
            return (time.perf_counter() - began) * 1e3

        one()
        flood = _Flood(context, port) if flooded else None
        try:
            times: list[float] = []
            began = time.monotonic()
            end = began + _WARM_UP_SECONDS + _SECONDS
            while (now := time.monotonic()) < end:
                taken = one()
                if now >= began + _WARM_UP_SECONDS:
                    times.append(taken)
                time.sleep(max(0.0, now + _PAUSE - time.monotonic()))
        finally:
            rate = flood.rate() if flood is not None else 0.0
        heavy, began = search_message(_FLOOD_VECTORS, _FLOOD_LIMIT, seed=_FLOOD_VECTORS), time.perf_counter()
        if not flooded:
            for _ in range(_HEAVY):
                search(heavy, timeout=30, metadata=metadata)
        alone = (time.perf_counter() - began) * 1e3 / _HEAVY
    return Measured(times, rate, 0.0 if flooded else alone)


class _Flood:
    """The heavy searches, by h2load for as long as the single searches are measured."""

    def __init__(self, context: Context, port: int) -> None:
        body = context.work / "flood.grpc"
        message = search_message(_FLOOD_VECTORS, _FLOOD_LIMIT, seed=_FLOOD_VECTORS)
        body.write_bytes(b"\0" + len(message).to_bytes(4, "big") + message)
        self._seconds = _WARM_UP_SECONDS + _SECONDS
        command = [
            str(context.programs["h2load"]),
            f"--duration={round(self._seconds)}",
            "--clients=4",
            f"--max-concurrent-streams={_FLOOD_STREAMS // 4}",
            "--threads=1",
            f"--data={body}",
            "--header=content-type: application/grpc",
            "--header=te: trailers",
            f"--header=authorization: {credentials('flood')}",
            f"http://127.0.0.1:{port}{SERVICE}/Search",
        ]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self._output = ""
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        self._output = self._process.communicate()[0]

    def rate(self) -> float:
        """
        Wait for the end; the heavy searches a second that were answered.

        Raises:
            BenchError: one of them failed, or was refused.
        """
        self._reader.join()
        requests, data = _SUCCEEDED.search(self._output), _DATA.search(self._output)
        if requests is None or data is None or (requests[2], requests[3]) != ("0", "0"):
            raise BenchError(f"the flood: {self._output.strip()[-500:]}")
        succeeded = int(requests[1])
        # A refusal is a hundred bytes, an answer has at least 5 for each of 100,000 rows.
        if succeeded == 0 or int(data[1]) / succeeded < 4 * _FLOOD_VECTORS * _FLOOD_LIMIT:
            raise BenchError(f"the flood was not answered in full: {succeeded} searches, {data[1]} bytes")
        return succeeded / self._seconds
