"""
The cost of a call in instructions of Envoy in user space, counted by callgrind.

There is one worker, and only its thread counts: Envoy's main thread works by the clock (health checks, the control plane's
questions), so on a busy machine, where fewer calls are made in a second, its part of a call would be larger. The load is that of
the pass-through bench.
"""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import itertools
import re
import shutil
import statistics
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from bench import kinds
from bench.backends import (
    LARGE_INSERT,
    LIMIT,
    SERVICE,
    Request,
    get_version,
    grpc_backend,
    insert,
    search,
    server_certificate,
    trivial_backend,
)
from bench.balancers import CAREFUL, CONTESTANTS, HOST, Contestant, Running, Setting, constant_answer, kiteway
from bench.collection import Questions
from bench.cpu import tree
from bench.grpc_check import GrpcCheck, wait_until_it_serves
from bench.load import CONNECTIONS, STREAMS, Call, Load, h2load
from bench.metrics import scrape, total
from bench.outcome import BenchError, Context, Outcome, Table
from bench.processes import free_port, tail
from bench.reads import Reader, Seen
from kiteway.envoy.binary import find_envoy

_CALLS = 2000
_PREFIX = 5
"""Bytes of gRPC before a message."""
_WARM_UP_CALLS = 300
_START_SECONDS = 180.0
_TITLE = "Instructions"
_TEXT = (
    f"Instructions of Envoy's worker in user space for one call, in thousands, over {_CALLS:,} calls (large inserts: 4): one worker, {STREAMS} calls "
    f"at a time on each of {CONNECTIONS} connections, TLS and HTTP/2 on both sides. The kernel's share is not among them. Of "
    "an insert each byte that is copied counts as one instruction, because callgrind counts `rep movsb` so."
)
_WRAPPER = """\
#!/bin/sh
# Only what serves is counted, and with one worker, so that every call takes the same way.
case " $* " in *" --version "* | *" --mode validate "*) exec "{envoy}" "$@" ;; esac
case " $* " in *" --concurrency "*) ;; *) set -- "$@" --concurrency 1 ;; esac
exec valgrind --tool=callgrind --separate-threads=yes --instr-atstart=no --callgrind-out-file="{output}" "{envoy}" "$@"
"""
_UNIQUE_TEXT = (
    "“Each for another vector” are searches by a Python client, through Kiteway without and with its cache, which soon sends "
    "nearly all of them unchanged. Under callgrind calls are slow, so the timestamps that the cache asks for are a larger part of "
    "all calls than otherwise. The last column counts each of them as a call too."
)
_HITS_TEXT = (
    "“Repeated” is one search that the cache answers, beside the filter's constant answer to `Connect`. Valgrind has none of the "
    "processor's instructions for SHA-256, so a hit takes fewer than this."
)
_TOTAL = re.compile(r"^(?:totals|summary): (\d+)", re.MULTILINE)


async def run(context: Context) -> Outcome:
    """Count for Kiteway and Envoy."""
    wanted = [each for each in CONTESTANTS if each.ours or each.name in {each.baseline, CAREFUL}]
    needed = {"valgrind": shutil.which("valgrind"), "nghttpd": context.programs.get("nghttpd")}
    if missing := [name for name, found in needed.items() if not found]:
        sentence = f"Instructions: there is no {' and no '.join(missing)} on this machine."
        return Outcome(_TITLE, (_TEXT,), (), (), {}, (sentence,))
    certificate, key = server_certificate(context.work)
    setting = Setting(context.work, context.programs, 0, certificate, key, workers=1)
    same = [_Same(context, request, CONNECTIONS) for request in kinds.kinds()]
    # Of an insert this large one at a time.
    large = "Insert of 32 MiB"
    same.append(_Same(context, insert(LARGE_INSERT), CONNECTIONS, name=large, calls=4))
    with trivial_backend(context.programs["nghttpd"], context.work, certificate, key, more=kinds.answers()) as backend:
        setting = dataclasses.replace(setting, backend=backend)
        counted = {each.name: await _count(context, each, setting, same) for each in wanted}
    counts = {load.name: {name: found[load.name] for name, found in counted.items()} for load in same}
    unique = {}
    # The other server's answers end otherwise than Milvus's, so a cache keeps none of them.
    with grpc_backend(context.work, certificate, key, LIMIT) as backend:
        setting = dataclasses.replace(setting, backend=backend)
        repeated = await _repeated(context, setting)
        for name, options in (("unique", ()), ("unique, cache", ("--cache",))):
            unlike = _Unique(free_port())
            more = (*options, "--metrics-bind", f"127.0.0.1:{unlike.metrics}")
            contestant = Contestant(name, functools.partial(_kiteway, more), ours=True)
            unique[name] = (await _count(context, contestant, setting, [unlike]))[unlike.name], unlike.timestamps
            context.say(f"{name}: {unlike.outcomes}")
    tables = [_table(name, found, wanted) for name, found in counts.items()]
    tables.append(_table_over_all([found for name, found in counts.items() if name != large], wanted))
    (without, _), (with_cache, timestamps) = unique.values()
    own = with_cache * _CALLS / (_CALLS + timestamps)
    rows = [
        ["Kiteway", f"{without / 1000:.1f}", "", "", ""],
        [
            "Kiteway, cache",
            f"{with_cache / 1000:.1f}",
            f"{with_cache / without:.3f}",
            f"{timestamps}",
            f"{own / without:.3f}",
        ],
    ]
    header = ("", "thousands a call", "of Kiteway", "timestamps", "with them as calls")
    tables.append(Table(f"{_TITLE}, Search, each for another vector", header, rows))
    tables.append(_repeated_table(repeated))
    data = {**counts, "unique": unique, "repeated": repeated}
    return Outcome(_TITLE, (_TEXT, _UNIQUE_TEXT, _HITS_TEXT), tables, (), data)


async def _repeated(context: Context, setting: Setting) -> dict[str, float]:
    """Count for a hit of the cache, and for a constant answer of the filter."""
    hits = _Hits(context, search(1), CONNECTIONS, metrics=free_port())
    options = ("--cache", "--metrics-bind", f"127.0.0.1:{hits.metrics}")
    ours = Contestant("a hit", functools.partial(_kiteway, options), ours=True)
    connect = Request(f"{SERVICE}/Connect", search(1).message, lambda _: None)
    constant = Contestant("constant answer", constant_answer)
    same = _Same(context, connect, CONNECTIONS)
    return {
        ours.name: (await _count(context, ours, setting, [hits]))[hits.name],
        constant.name: (await _count(context, constant, setting, [same], probe=connect))[same.name],
    }


def _repeated_table(found: Mapping[str, float]) -> Table:
    least = min(found.values())
    rows = [[name, f"{count / 1000:.0f}", f"{count / least:.2f}"] for name, count in found.items()]
    return Table(f"{_TITLE}, Search, repeated", ("", "thousands a call", "of the constant answer"), rows)


def _kiteway(options: Sequence[str], setting: Setting) -> AbstractContextManager[Running]:
    return kiteway(setting, *options)


class _Load(Protocol):
    """What makes calls; `mark` is called before and after those that are counted."""

    @property
    def name(self) -> str: ...

    @property
    def calls(self) -> int: ...

    async def __call__(self, running: Running, calls: int) -> None: ...

    def mark(self, running: Running, /) -> None: ...


@dataclasses.dataclass
class _Same:
    """
    The same call again and again.

    Attributes:
        request: the call, whose answer is looked at before and after the counted ones.
        connections: how many connections make at most so many calls.
        name: in the report; empty: the rpc's.
        calls: how many are counted.
    """

    context: Context
    request: Request
    connections: int
    name: str = ""
    calls: int = _CALLS

    def __post_init__(self) -> None:
        self.name = self.name or self.request.path.rpartition("/")[2]
        self._answer_bytes: int | None = None

    async def __call__(self, running: Running, calls: int) -> None:
        seen = _call(self.context, running, self.request, calls, min(calls, self.connections))
        if self._answer_bytes not in {None, seen.answer_bytes}:
            raise BenchError(f"{self.name}: {seen.answer_bytes:.0f} bytes for an answer of {self._answer_bytes}")

    def mark(self, running: Running, /) -> None:
        with GrpcCheck(HOST, running.port) as client:
            answer = client.call(self.request.path, self.request.message)
        self.request.check(answer)
        self._answer_bytes = len(answer) + _PREFIX


@dataclasses.dataclass
class _Hits(_Same):
    """
    The same search, until the cache answers nearly all of the calls, some of them for others that wait.

    Attributes:
        metrics: the port of Kiteway's metrics.
    """

    metrics: int = 0

    async def __call__(self, running: Running, calls: int) -> None:
        end = time.monotonic() + _START_SECONDS
        while True:
            before = self._answered()
            await super().__call__(running, calls)
            if self._answered() - before > 0.9 * calls:
                return
            if calls > _WARM_UP_CALLS or time.monotonic() > end:
                raise BenchError(f"the cache answered {self._answered() - before} of {calls} repeated searches")

    def _answered(self) -> int:
        page, name = scrape(self.metrics), "kiteway_cache_reads_total"
        return total(page, name, 'outcome="hit"') + total(page, name, 'outcome="joined"')


class _Unique:
    """
    Searches for another vector each.

    Attributes:
        metrics: the port of Kiteway's metrics.
        timestamps: how many the cache asked for between the two marks.
        outcomes: of the last calls.
    """

    name = "unique"
    calls = _CALLS

    def __init__(self, metrics: int) -> None:
        self.metrics = metrics
        self.timestamps = 0
        self.outcomes: dict[str, int] = {}
        self._questions, self._numbers = Questions(LIMIT), itertools.count()

    async def __call__(self, running: Running, calls: int) -> None:
        numbers, seen = itertools.islice(self._numbers, calls), Seen()
        async with Reader(running.port, CONNECTIONS) as reader:

            async def some() -> None:
                for number in numbers:
                    await reader.read(self._questions[number], seen)

            # Few at a time: Envoy is so slow here that fills would take too long.
            await asyncio.gather(*(some() for _ in range(CONNECTIONS)))
        self.outcomes = seen.outcomes

    def mark(self, _running: Running, /) -> None:
        counted = total(scrape(self.metrics), "envoy_cluster_kiteway_requests_total", 'rpc="AllocTimestamp"')
        self.timestamps = counted - self.timestamps


def _table(name: str, found: Mapping[str, float], contestants: Sequence[Contestant]) -> Table:
    rows = [
        (each.name, f"{found[each.name] / 1000:.0f}", f"{found[each.baseline] / found[each.name]:.2f}")
        for each in contestants
    ]
    return Table(f"{_TITLE}, {name}", ("", "thousands a call", "of Envoy"), rows)


def _table_over_all(kinds: Sequence[Mapping[str, float]], contestants: Sequence[Contestant]) -> Table:
    """Return the ratio over all kinds of calls: their geometric mean, since every kind counts alike."""
    rows = [
        (each.name, f"{statistics.geometric_mean([found[each.baseline] / found[each.name] for found in kinds]):.3f}")
        for each in contestants
        if each.name != each.baseline
    ]
    return Table(f"{_TITLE}, all kinds of calls but the large one", ("", "of Envoy"), rows)


async def _count(
    context: Context,
    contestant: Contestant,
    setting: Setting,
    loads: Sequence[_Load],
    *,
    probe: Request | None = None,
) -> dict[str, float]:
    """Return the worker's instructions for a call of each load, all of them of one Envoy."""
    work = context.work / "-".join((loads[0].name, *contestant.name.replace(",", "").split()))
    work.mkdir(parents=True)
    output, wrapper = work / "callgrind.out", work / "envoy"
    wrapper.write_text(_WRAPPER.format(envoy=find_envoy(), output=output))
    wrapper.chmod(0o700)
    counts: dict[str, float] = {}
    with contestant.run(dataclasses.replace(setting, work=work, envoy=wrapper)) as running:
        try:
            probe = probe or get_version()
            wait_until_it_serves(
                HOST, running.port, probe.path, probe.message, seconds=_START_SECONDS, ended=running.ended
            )
        except BenchError as error:
            raise BenchError(f"{contestant.name}: {error}. The end of its log:\n{tail(running.log)}") from error
        envoy = _callgrind(running)
        for load in loads:
            context.say(f"counting {load.name}, {contestant.name}")
            await load(running, min(load.calls, _WARM_UP_CALLS))
            load.mark(running)
            before = set(work.glob(f"{output.name}*"))
            _control(envoy, "--instr=on")
            await load(running, load.calls)
            _control(envoy, "--instr=off")
            load.mark(running)
            _control(envoy, "--dump")
            # Each thread has a dump of what was counted since the last one; the worker has by far the most.
            dumps = [dump.read_text() for dump in set(work.glob(f"{output.name}*")) - before]
            found = max((int(total) for dump in dumps for total in _TOTAL.findall(dump)), default=0)
            if not found:
                raise BenchError(f"{contestant.name}: callgrind has counted nothing")
            counts[load.name] = found / load.calls
    return counts


def _call(context: Context, running: Running, request: Request, calls: int, connections: int) -> Load:
    body = context.work / "request.grpc"
    body.write_bytes(request.frame())
    call = Call(request.path, body, connections=connections, streams=STREAMS)
    log = context.work / "h2load.log"
    return h2load(context.programs["h2load"], call, host=HOST, port=running.port, calls=calls, log=log)


def _callgrind(running: Running) -> int:
    names = tree(running.process.pid) if running.process is not None else {}
    return next(pid for pid, name in names.items() if name.startswith("callgrind"))


def _control(pid: int, command: str) -> None:
    program = shutil.which("callgrind_control") or "callgrind_control"
    done = subprocess.run([program, command, str(pid)], check=False, capture_output=True, text=True)
    if done.returncode != 0:
        raise BenchError(f"callgrind_control {command}: {done.stderr.strip() or done.stdout.strip()}")
