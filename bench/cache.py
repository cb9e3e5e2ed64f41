"""
What the cache saves, and what it costs.

One Kiteway with the cache, one without, and no balancer, in front of the same Milvus over TLS; all are started once and
measured in turns. The part with many keys needs more answers than a Milvus gives in that time, so a server of constant
answers takes its place; so it does for searches that never repeat, of which only Envoy's part is of interest.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from typing import Any

import pymilvus

from bench.backends import LIMIT, Request, get_version, grpc_backend, search, server_certificate
from bench.balancers import DIRECT, HOST, Running, Setting, constant_answer, direct, kiteway
from bench.cache_hits import CACHE, CONSTANT, KITEWAY, hits
from bench.cache_unique import unique
from bench.collection import Questions, fill, insert_message
from bench.grpc_check import wait_until_it_serves
from bench.metrics import scrape, total
from bench.outcome import BenchError, Context, Outcome, Table
from bench.processes import free_port, tail
from bench.reads import Reader, Seen
from bench.stats import quantile
from kiteway.filter import filter_path
from kiteway.milvus.embedded import StandaloneMilvus, TLSFiles
from tools.in_netns import isolated

_TITLE = "Cache"
_START_SECONDS = 120.0
_CONNECTIONS = 4
_ZIPF = ((1000, 1000.0), (1000, 100.0), (100_000, 1000.0))
"""Keys, and reads a second that are tried."""
_BURST = 200
_BURSTS = 5
_CHURN_ROWS = 5000
"""So many that the answers of the last 5 s, which are kept, are more than the cache's memory."""
_CHURN_WORKERS = 16
_CHURN_KEYS = 36_000
"""Ten new questions a second for an hour."""
_HOT_KEYS, _HOT_RATE, _ALONE_SECONDS = 20, 100.0, 10.0
_MEMORY = 64 << 20
"""The default of ``MilvusPolicy.cache.memory``."""


@dataclass(frozen=True)
class Churn:
    """
    Hot keys, alone and beside new keys.

    Attributes:
        alone: the share of hits of the hot keys alone.
        beside: the same beside the new keys.
        keys: new keys that were asked, twice each.
        seconds: how long they took.
        cached: the most bytes that the cache said it had.
        entries: the answers that it had then.
        before: bytes of Envoy's resident memory before the new keys.
        after: the most during them.
    """

    alone: float
    beside: float
    keys: int
    seconds: float
    cached: int
    entries: int
    before: int
    after: int


async def run(context: Context) -> Outcome:
    """
    Measure with Milvus, then with constant answers.

    Raises:
        BenchError: something cannot be started, or an answer was wrong.
    """
    text = (
        (
            f"One Milvus 2.3.5 with {context.rows:,} rows of 128 dimensions, HNSW, searched for {LIMIT} rows, TLS everywhere. "
            "Milvus, Kiteway and the clients share the machine. Both Kiteways write their access log."
        ),
    )
    if not isolated() or filter_path() is None:
        needs = "The cache: it needs a network namespace of its own and the filter."
        return Outcome(_TITLE, text, (), (), {}, (needs,))
    certificate, key = server_certificate(context.work)
    context.say(f"starting Milvus with {context.rows:,} rows")
    async with StandaloneMilvus(context.work / "milvus", tls=TLSFiles(certificate, key)) as milvus:
        address = f"https://127.0.0.1:{milvus.endpoint.port}"
        fill(pymilvus.MilvusClient(address, server_pem_path=str(certificate), server_name=HOST), context.rows)
        context.say("Milvus has the rows")

        def searched() -> int:
            page = scrape(milvus.endpoint.health_port)
            return total(page, "milvus_proxy_req_count", 'function_name="Search"', 'status="total"')

        setting = Setting(context.work, context.programs, milvus.endpoint.port, certificate, key)
        with ExitStack() as stack:
            started = {DIRECT: stack.enter_context(direct(setting))}
            started[KITEWAY] = _start(stack, setting, KITEWAY, search(1))
            started[CACHE] = _start(stack, setting, CACHE, search(1), "--cache")
            questions = Questions(LIMIT)
            with constant_answer(setting) as constant:
                of_hits = {**started, CONSTANT: constant}
                hit_table, chart, hit_data = await hits(context, of_hits, questions, searched)
            zipf_table, zipf_data = await _zipf(context, started, questions, searched)
            burst_table, burst_data = await _bursts(context, started[CACHE], questions, searched)
    with grpc_backend(context.work, certificate, key, _CHURN_ROWS) as port, ExitStack() as stack:
        setting = replace(setting, backend=port)
        metrics = free_port()
        options = ("--cache", "--metrics-bind", f"127.0.0.1:{metrics}")
        running = _start(stack, setting, "churn", get_version(), *options)
        churn = await _churn(context, running, metrics, Questions(LIMIT))
    with grpc_backend(context.work, certificate, key, LIMIT) as port, ExitStack() as stack:
        setting = replace(setting, backend=port)
        options_of = {KITEWAY: (), CACHE: ("--cache",)}
        started = {
            name: _start(stack, setting, f"unique {name}", search(1), *options) for name, options in options_of.items()
        }
        unique_table, unique_data = await unique(context, started, Questions(LIMIT))
    tables = [hit_table, zipf_table, burst_table, _churn_table(churn), unique_table]
    data = {"hits": hit_data, "zipf": zipf_data, "bursts": burst_data, "churn": asdict(churn), "unique": unique_data}
    return Outcome(_TITLE, text, tables, [chart], data)


def _start(stack: ExitStack, setting: Setting, name: str, request: Request, *options: str) -> Running:
    work = setting.work / name.replace(" ", "-")
    work.mkdir()
    running = stack.enter_context(kiteway(replace(setting, work=work), *options))
    try:
        wait_until_it_serves(
            HOST, running.port, request.path, request.message, seconds=_START_SECONDS, ended=running.ended
        )
    except BenchError as error:
        raise BenchError(f"{name}: {error}. The end of its log:\n{tail(running.log)}") from error
    return running


def _drawn(questions: Questions, first: int, keys: int) -> Iterator[bytes]:
    """Yield Zipf-distributed questions with s = 1 for ever; ``first`` is the most frequent one."""
    chance = random.Random(keys)
    weights = list(itertools.accumulate(1 / number for number in range(1, keys + 1)))
    while True:
        for each in chance.choices(range(keys), cum_weights=weights, k=1000):
            yield questions[first + each]


async def _zipf(
    context: Context, started: Mapping[str, Running], questions: Questions, searched: Callable[[], int]
) -> tuple[Table, dict[str, Any]]:
    warm_up, seconds = 10 * context.block_seconds, 30 * context.block_seconds
    rows, data = [], {}
    inserts = map(insert_message, itertools.count(1 << 40))
    first = 1000
    for keys, rate in _ZIPF:
        for name, running in started.items():
            drawn = _drawn(questions, first, keys)
            async with Reader(running.port, _CONNECTIONS) as reader:
                await reader.at_rate(rate, warm_up, drawn, inserts)
                before = searched()
                seen = await reader.at_rate(rate, seconds, drawn, inserts)
                upstream = searched() - before
            cut = len(seen.milliseconds) / max(1, upstream)
            p50, p99 = quantile(seen.milliseconds, 0.5), quantile(seen.milliseconds, 0.99)
            context.say(
                f"Zipf, {keys:,} keys, {rate:g} a second, {name}: {seen.rate:.0f} made, {upstream} in Milvus, p50 {p50:.1f} ms, "
                f"p99 {p99:.1f} ms, {seen.outcomes}"
            )
            rows.append(
                [
                    f"{keys:,} keys, {name}",
                    f"{rate:,.0f}",
                    f"{seen.rate:,.0f}",
                    f"{upstream:,}",
                    f"{cut:.1f}",
                    f"{p50:.1f}",
                    f"{p99:.1f}",
                ]
            )
            data[f"{keys} keys, {rate:g}/s, {name}"] = {**asdict(seen), "upstream": upstream}
        first += keys
    header = ["", "tried/s", "reads/s", "in Milvus", "cut", "p50 ms", "p99 ms"]
    return Table("Zipf-distributed searches (s = 1) at the default level, 1 % inserts", header, rows), data


async def _bursts(
    context: Context, running: Running, questions: Questions, searched: Callable[[], int]
) -> tuple[Table, list[dict[str, Any]]]:
    found = []
    async with Reader(running.port, _BURST) as reader:
        for number in range(1, _BURSTS + 1):
            await _until_ready(reader, questions)
            before, seen, message = searched(), Seen(), questions[-number]
            began = time.perf_counter()
            await asyncio.gather(*(reader.read(message, seen) for _ in range(_BURST)))
            seen.seconds = time.perf_counter() - began
            found.append({**asdict(seen), "upstream": searched() - before})
            context.say(f"{_BURST} clients at once: {found[-1]['upstream']} searches in Milvus, {seen.outcomes}")
    rows = [
        [
            f"{number}",
            f"{one['upstream']}",
            ", ".join(f"{count} {name}" for name, count in one["outcomes"].items()),
            f"{max(one['milliseconds']):.0f}",
        ]
        for number, one in enumerate(found, 1)
    ]
    header = ["time", "searches in Milvus", "outcomes", "slowest, ms"]
    return Table(f"{_BURST} clients with the same new question at once", header, rows), found


async def _until_ready(reader: Reader, questions: Questions) -> None:
    """
    Search until the cache knows the collection's level and has a timestamp that is old enough.

    Raises:
        BenchError: it did not within `_START_SECONDS`.
    """
    end = time.monotonic() + _START_SECONDS
    while await reader.read(questions[0], Seen()) not in {"hit", "miss"}:
        if time.monotonic() > end:
            raise BenchError("the cache keeps nothing")
        await asyncio.sleep(0.05)


async def _churn(context: Context, running: Running, metrics: int, questions: Questions) -> Churn:
    """Read the hot keys for a while, then go on beside many new keys."""
    keys = round(_CHURN_KEYS * context.block_seconds / 0.5)
    new = iter(range(1000, 1000 + keys))
    cached: list[tuple[int, int]] = []
    memory: list[int] = []

    hot = (questions[number % _HOT_KEYS] for number in itertools.count())

    async with Reader(running.port, _CONNECTIONS) as reader:
        await _until_ready(reader, questions)
        alone = await reader.at_rate(_HOT_RATE, _ALONE_SECONDS, hot)
        before = running.envoy_memory()
        hot_seen, asked = Counter[str](), Seen()

        async def ask() -> None:
            for number in new:
                await reader.read(questions[number], asked)
                await reader.read(questions[number], asked)

        async def keep_hot() -> None:
            while True:
                hot_seen.update((await reader.at_rate(_HOT_RATE, 1, hot)).outcomes)
                page = await asyncio.to_thread(scrape, metrics)
                cached.append((total(page, "kiteway_cache_bytes"), total(page, "kiteway_cache_entries")))
                memory.append(running.envoy_memory())

        began = time.perf_counter()
        background = asyncio.ensure_future(keep_hot())
        await asyncio.gather(*(ask() for _ in range(_CHURN_WORKERS)))
        seconds = time.perf_counter() - began
        background.cancel()
    context.say(f"{keys:,} new keys in {seconds:.0f} s: {asked.outcomes}")
    size, entries = max(cached)
    return Churn(_share(alone.outcomes), _share(hot_seen), keys, seconds, size, entries, before, max(memory))


def _share(outcomes: Mapping[str, int]) -> float:
    return (outcomes.get("hit", 0) + outcomes.get("joined", 0)) / max(1, sum(outcomes.values()))


def _churn_table(churn: Churn) -> Table:
    mebi = 1 << 20
    rows = [
        ["new keys, each asked twice", f"{churn.keys:,}"],
        ["seconds", f"{churn.seconds:.0f}"],
        ["hits of the hot keys alone, %", f"{100 * churn.alone:.0f}"],
        ["hits of the hot keys beside the new ones, %", f"{100 * churn.beside:.0f}"],
        ["the cache's bound, MiB", f"{_MEMORY / mebi:.0f}"],
        ["the most that it counted, MiB", f"{churn.cached / mebi:.1f}"],
        ["answers in it then", f"{churn.entries:,}"],
        ["Envoy's memory before, MiB", f"{churn.before / mebi:.0f}"],
        ["Envoy's memory at most, MiB", f"{churn.after / mebi:.0f}"],
    ]
    return Table(f"{_HOT_KEYS} hot keys beside many new ones, answers of {_CHURN_ROWS:,} rows", ["", ""], rows)
