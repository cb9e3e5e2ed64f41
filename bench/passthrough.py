"""
The cost of a call that only passes through.

Every contestant has the same backend. In each round all contestants are started again, and calls are measured in short
blocks, one contestant after the other in a new random order, so that other load on the machine affects all of them.
Figures are compared within a round only.
"""

from __future__ import annotations

import random
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench.backends import (
    LARGE_INSERT,
    Request,
    get_version,
    insert,
    large_answers,
    large_query,
    milvus_backend,
    search,
    server_certificate,
    trivial_backend,
)
from bench.balancers import (
    BASELINE,
    CONTESTANTS,
    DIRECT,
    HOST,
    LOGGING_BASELINE,
    WORKERS,
    Contestant,
    Running,
    Setting,
)
from bench.grpc_check import GrpcCheck, wait_until_it_serves
from bench.load import CONNECTIONS, STREAMS, Call, Load, h2load
from bench.outcome import Bar, BenchError, Chart, Context, Outcome, Table
from bench.processes import tail
from bench.stats import Estimate, median_with_interval, quantile
from tools.in_netns import isolated

_START_SECONDS = 60.0
_PILOT_CALLS = 100
# An answer through a balancer has the size of one without, but for the varints of times and costs in it.
_SIZE_TOLERANCE = 0.1


@dataclass(frozen=True)
class Workload:
    """
    A kind of call, in front of one backend.

    Attributes:
        name: its name in the results.
        title: the title of its table.
        request: the call.
        connections: how many connections the load has.
        streams: how many calls are under way on each.
        calls: how many calls a block has; None: as many as take the time of a block.
    """

    name: str
    title: str
    request: Request
    connections: int
    streams: int
    calls: int | None = None


@dataclass(frozen=True)
class Block:
    """One contestant measured once: CPU seconds of all its processes, and of those that calls pass through."""

    calls: int
    load: Load
    cpu: float
    data_plane_cpu: float

    @property
    def rate(self) -> float:
        """Calls a second."""
        return self.calls / self.load.seconds

    @property
    def cpu_per_call(self) -> float:
        """Microseconds of CPU for a call."""
        return self.cpu / self.calls * 1e6


Rounds = Sequence[Mapping[str, Block]]
"""What was measured of one workload: by round, by contestant."""


async def run(context: Context) -> Outcome:
    """
    Measure all contestants before a backend that costs next to nothing, then before a real Milvus.

    Raises:
        BenchError: plain Envoy cannot be measured, or an answer was wrong.
    """
    certificate, key = server_certificate(context.work)
    missing: list[str] = []
    measured: list[tuple[Workload, Rounds]] = []
    large: list[tuple[Workload, Rounds]] = []

    if "nghttpd" in context.programs:
        nghttpd = context.programs["nghttpd"]
        with trivial_backend(nghttpd, context.work, certificate, key, more=large_answers()) as port:
            trivial = [
                Workload("trivial", "GetVersion, backend of no cost", get_version(), CONNECTIONS, STREAMS),
                Workload("trivial_search", "Search, backend of no cost", search(1), CONNECTIONS, STREAMS),
            ]
            measured += Phase(context, "trivial", port, certificate, key).measure(trivial, missing)
            kinds = [
                Workload("insert_32_mib", "Insert of 32 MiB, backend of no cost", insert(LARGE_INSERT), 2, 1, calls=6),
                Workload("answer_200_mib", "Answer of 200 MiB, backend of no cost", large_query(), 1, 1, calls=2),
            ]
            large += Phase(context, "large", port, certificate, key).measure(kinds, [])
    else:
        missing.append("The backend of no cost: there is no nghttpd on this machine.")

    if isolated():
        async with AsyncExitStack() as stack:
            context.say("starting Milvus")
            port = await stack.enter_async_context(milvus_backend(context.work, certificate, key))
            workloads = [
                Workload("get_version", "GetVersion, Milvus", get_version(), CONNECTIONS, STREAMS),
                Workload("search", "Search, Milvus", search(1), CONNECTIONS, 2),
                Workload("search_10", "Search of 10 vectors, Milvus", search(10), CONNECTIONS, 2),
            ]
            measured += Phase(context, "milvus", port, certificate, key).measure(workloads, missing)
    else:
        missing.append(
            "Milvus: the embedded one listens on every address, so it is started in a network namespace of its own "
            "only, and none is permitted here."
        )
    return _outcome(context, measured, large, missing)


@dataclass(frozen=True)
class Phase:
    """All contestants before one backend."""

    context: Context
    name: str
    backend: int
    certificate: Path
    key: Path

    def measure(self, workloads: Sequence[Workload], missing: list[str]) -> list[tuple[Workload, Rounds]]:
        """
        Measure each workload; a contestant that cannot be started goes to ``missing``.

        Raises:
            BenchError: plain Envoy cannot be started, or not everyone can again.
        """
        measured: list[tuple[Workload, list[dict[str, Block]]]] = [(workload, []) for workload in workloads]
        for number in range(1, self.context.rounds + 1):
            left_out: list[str] = []
            with ExitStack() as stack:
                started = self._start(stack, get_version(), left_out)
                if not {BASELINE, LOGGING_BASELINE} <= started.keys():
                    raise BenchError(f"plain Envoy is what all are compared with: {left_out[-1]}")
                clients = {
                    name: stack.enter_context(GrpcCheck(HOST, contestant.port)) for name, contestant in started.items()
                }
                for workload, rounds in measured:
                    if rounds and rounds[0].keys() != started.keys():
                        raise BenchError(f"not the same contestants as before: {'; '.join(left_out)}")
                    rounds.append(self._round(workload, started, clients, number))
            if number == 1:
                missing += left_out
        return [(workload, rounds) for workload, rounds in measured]

    def _start(self, stack: ExitStack, request: Request, missing: list[str]) -> dict[str, Running]:
        started: dict[str, Running] = {}
        for contestant in CONTESTANTS:
            work = Path(tempfile.mkdtemp(prefix=f"{self.name}-", dir=self.context.work))
            setting = Setting(work, self.context.programs, self.backend, self.certificate, self.key)
            attempt = stack.enter_context(ExitStack())
            try:
                running = attempt.enter_context(contestant.run(setting))
            except BenchError as error:
                missing.append(f"{contestant.name}: {error}")
                continue
            try:
                wait_until_it_serves(
                    HOST, running.port, request.path, request.message, seconds=_START_SECONDS, ended=running.ended
                )
            except BenchError as error:
                missing.append(f"{contestant.name} ({self.name}): {error}. The end of its log:\n{tail(running.log)}")
                attempt.close()
                continue
            started[contestant.name] = running
        return started

    def _round(
        self, workload: Workload, started: Mapping[str, Running], clients: Mapping[str, GrpcCheck], number: int
    ) -> dict[str, Block]:
        body = self.context.work / f"{workload.name}.grpc"
        body.write_bytes(workload.request.frame())
        call = Call(workload.request.path, body, workload.connections, workload.streams)
        log = self.context.work / "h2load.log"
        program = self.context.programs["h2load"]

        def load(name: str, calls: int) -> Load:
            workload.request.check(clients[name].call(workload.request.path, workload.request.message))
            return h2load(program, call, host=HOST, port=started[name].port, calls=calls, log=log)

        # They open everyone's connections to the backend.
        pilots = {name: load(name, workload.calls or _PILOT_CALLS) for name in started}
        right_size = pilots[DIRECT].answer_bytes
        calls = workload.calls
        if calls is None:
            pilot = load(BASELINE, 5 * _PILOT_CALLS)
            calls = max(_PILOT_CALLS, round(5 * _PILOT_CALLS / pilot.seconds * self.context.block_seconds))

        blocks: dict[str, Block] = {}
        for name in random.sample(sorted(started), len(started)):
            every, data_plane = started[name].meters()
            seen = load(name, calls)
            blocks[name] = Block(calls, seen, every.seconds(), data_plane.seconds())
            if abs(seen.answer_bytes - right_size) > _SIZE_TOLERANCE * right_size:
                raise BenchError(
                    f"{name}: {seen.answer_bytes:.0f} bytes for an answer of {right_size:.0f}: calls have failed"
                )
            workload.request.check(clients[name].call(workload.request.path, workload.request.message))
        cpu = ", ".join(f"{name} {blocks[name].cpu_per_call:.0f}" for name in started if name != DIRECT)
        self.context.say(f"{workload.title}: round {number} of {self.context.rounds}, CPU µs a call: {cpu}")
        return blocks


def _by_round(rounds: Rounds, contestant: Contestant) -> list[float]:
    """
    Return how often plain Envoy's CPU time for a call holds this one's: 1 is equal, 0.5 is twice the cost.

    What writes an access log is compared with a plain Envoy that writes the same.
    """
    return [blocks[contestant.baseline].cpu_per_call / blocks[contestant.name].cpu_per_call for blocks in rounds]


def _ratios(rounds: Rounds, contestant: Contestant) -> Estimate:
    return median_with_interval(_by_round(rounds, contestant))


def over_all(kinds: Sequence[Rounds], contestant: Contestant) -> Estimate:
    """Return the ratio over all kinds of calls: of each round their geometric mean, since every kind counts alike."""
    by_round = zip(*(_by_round(rounds, contestant) for rounds in kinds), strict=True)
    return median_with_interval([statistics.geometric_mean(ratios) for ratios in by_round])


def _text(context: Context) -> list[str]:
    how = (
        "What does it cost that a call goes through a balancer? TLS and HTTP/2 on both sides, the same backend, "
        f"{WORKERS} worker threads each, on {WORKERS} CPUs shared with the load generator (h2load) and the backend, "
        "all in one network namespace. Rates and latencies are therefore those of a crowded machine; CPU time for a "
        "call is the balancer's own."
    )
    ratio = (
        f"{context.rounds} rounds; in each, every contestant is started anew and measured once, in random order. “Of Envoy” is plain "
        "Envoy's CPU time for a call divided by this one's within the same round: the median, and its 95 % interval "
        "(bootstrap). Above 1 is cheaper than plain Envoy. What writes an access log, as Kiteway does by default, is "
        "compared with a plain Envoy that writes the same lines; what writes none with one that writes none. Kiteway's "
        "CPU time is that of all its processes: supervisor, control plane, Envoy."
    )
    trivial = (
        "“Backend of no cost” is nghttpd with answers from files: where Milvus would be the slowest part, it shows "
        "the balancers."
    )
    return [how, ratio, trivial]


def _outcome(
    context: Context,
    measured: Sequence[tuple[Workload, Rounds]],
    large: Sequence[tuple[Workload, Rounds]],
    missing: Sequence[str],
) -> Outcome:
    all_kinds = [_table_over_all([rounds for _, rounds in measured])] if measured else []
    return Outcome(
        title="Pass-through",
        text=_text(context),
        tables=[
            *(_table(workload, rounds) for workload, rounds in measured),
            *all_kinds,
            *(_table(workload, rounds) for workload, rounds in large),
        ],
        charts=[_chart(workload, rounds) for workload, rounds in measured],
        data={workload.name: _data(rounds) for workload, rounds in (*measured, *large)},
        missing=missing,
    )


def _table(workload: Workload, rounds: Rounds) -> Table:
    rows = []
    for contestant in (each for each in CONTESTANTS if each.name in rounds[0]):
        name = contestant.name
        blocks = [each[name] for each in rounds]
        cpu, ratio = "", ""
        if name != DIRECT:
            cpu = f"{statistics.median(block.cpu_per_call for block in blocks):.1f}"
            estimate = _ratios(rounds, contestant)
            ratio = "1"
            if name != contestant.baseline:
                ratio = f"{estimate.median:.2f} ({estimate.low:.2f}-{estimate.high:.2f})"
        rows.append(
            [
                name,
                cpu,
                ratio,
                f"{statistics.median(block.rate for block in blocks):,.0f}",
                f"{statistics.median(block.load.p50 for block in blocks) / 1000:.2f}",
                f"{statistics.median(block.load.p99 for block in blocks) / 1000:.2f}",
            ]
        )
    return Table(workload.title, ["", "CPU µs a call", "of Envoy", "calls/s", "p50 ms", "p99 ms"], rows)


def _table_over_all(kinds: Sequence[Rounds]) -> Table:
    rows = []
    for contestant in CONTESTANTS:
        compared = contestant.name not in {DIRECT, contestant.baseline}
        if compared and all(contestant.name in rounds[0] for rounds in kinds):
            estimate = over_all(kinds, contestant)
            rows.append([contestant.name, f"{estimate.median:.3f} ({estimate.low:.3f}-{estimate.high:.3f})"])
    return Table("All kinds of calls", ["", "of Envoy"], rows)


def _chart(workload: Workload, rounds: Rounds) -> Chart:
    bars = []
    for contestant in CONTESTANTS:
        if contestant.name == DIRECT or contestant.name not in rounds[0]:
            continue
        values = [blocks[contestant.name].cpu_per_call for blocks in rounds]
        middle = quantile(values, 0.25), quantile(values, 0.75)
        bars.append(Bar(contestant.name, statistics.median(values), *middle, ours=contestant.ours))
    return Chart(workload.title, "µs of CPU for a call", bars)


def _data(rounds: Rounds) -> dict[str, Any]:
    contestants = [contestant for contestant in CONTESTANTS if contestant.name in rounds[0]]
    return {
        "rounds": [{name: asdict(blocks[name]) for name in blocks} for blocks in rounds],
        "of_envoy": {each.name: asdict(_ratios(rounds, each)) for each in contestants if each.name != DIRECT},
        "calls_per_block": rounds[0][BASELINE].calls,
    }
