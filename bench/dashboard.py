"""
The cost of the web page: without a page, with one without a viewer, and with one that is open.

What the page costs is a small part of what calls cost, so the three take their calls at the same time. Then other work on the
machine affects all of them alike. And it is measured without calls, too, which shows it exactly.
"""

from __future__ import annotations

import itertools
import json
import statistics
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx2

from bench.backends import search, server_certificate, trivial_backend
from bench.balancers import HOST, Running, Setting, kiteway
from bench.cpu import cpu_seconds, main_thread_seconds, tree
from bench.grpc_check import wait_until_it_serves
from bench.load import CONNECTIONS, STREAMS, Call, h2load
from bench.outcome import BenchError, Context, Outcome, Table
from bench.processes import free_port
from bench.stats import median_with_interval

_TITLE = "The web page"
_NONE, _OPEN = "no page", "page, open"
_KINDS = (_NONE, "page, not open", _OPEN)
_PARTS = _PAGE, _CONTROL, _MAIN, _WORKERS = "page", "control plane", "Envoy, main thread", "Envoy, workers"
_RATES = (0.0, 1000.0)
_BLOCK_SECONDS = 15
"""The page reads the status and the counts of calls every 5 s."""
_START_SECONDS = 60.0
_OVERVIEW = ("history", "events", "collections", "endpoints")
"""What the overview asks for after each change (src/kiteway/dashboard/static/overview.js)."""
_TEXT = (
    f"Kiteway with its access log, before a backend of no cost (nghttpd), gets {_RATES[-1]:,.0f} Searches a second on "
    f"{CONNECTIONS} connections for {_BLOCK_SECONDS} s at a time, and then no calls for as long; all three at the same time. The "
    "client of the open page does what a browser with the overview does: it reads the stream, and after each change it asks for "
    "the tables of that view. Percent of a core: the median over the blocks, of what is added to a Kiteway without a page with its "
    "95 % interval. The control plane is counted with the supervisor. Calls are the work of Envoy's workers, so with calls their "
    "difference is a small one of large figures; the last column is without it."
)


async def run(context: Context) -> Outcome:
    """Measure."""
    if "nghttpd" not in context.programs:
        return Outcome(_TITLE, (_TEXT,), (), (), {}, ("The web page: there is no nghttpd on this machine.",))
    certificate, key = server_certificate(context.work)
    with ExitStack() as stack:
        backend = stack.enter_context(trivial_backend(context.programs["nghttpd"], context.work, certificate, key))
        started: dict[str, Running] = {}
        for name in _KINDS:
            work = context.work / name.replace(", ", "-").replace(" ", "-")
            work.mkdir()
            setting = Setting(work, context.programs, backend, certificate, key)
            page = free_port()
            options = () if name == _NONE else ("--dashboard", f"127.0.0.1:{page}")
            started[name] = stack.enter_context(kiteway(setting, *options))
            if name == _OPEN:
                viewer = stack.enter_context(_viewer(page))
        blocks = _blocks(context, started)
    if viewer.read < context.rounds:
        raise BenchError(f"the viewer of the page has read {viewer.read} overviews only")
    return _outcome(blocks)


def _blocks(context: Context, started: Mapping[str, Running]) -> dict[float, list[dict[str, dict[str, float]]]]:
    """Return the percent of a core by rate, block, kind and part."""
    request = search(1)
    body = context.work / "search.grpc"
    body.write_bytes(request.frame())
    call = Call(request.path, body, CONNECTIONS, STREAMS)
    for running in started.values():
        wait_until_it_serves(
            HOST, running.port, request.path, request.message, seconds=_START_SECONDS, ended=running.ended
        )

    def load(name: str, rate: float) -> None:
        if not rate:
            time.sleep(_BLOCK_SECONDS)
            return
        log = context.work / f"h2load-{_KINDS.index(name)}.log"
        calls, port = round(rate * _BLOCK_SECONDS), started[name].port
        h2load(context.programs["h2load"], call, host=HOST, port=port, calls=calls, log=log, rate=rate)

    blocks: dict[float, list[dict[str, dict[str, float]]]] = {rate: [] for rate in _RATES}
    with ThreadPoolExecutor(len(started)) as threads:
        # The first calls are mostly new connections.
        list(threads.map(load, started, [_RATES[-1]] * len(started)))
        for number, rate in itertools.product(range(1, max(2, context.rounds // 4) + 1), _RATES):
            before = {name: _used(running) for name, running in started.items()}
            began = time.monotonic()
            list(threads.map(load, started, [rate] * len(started)))
            seconds = time.monotonic() - began
            found = {
                name: {part: 100 * (used - before[name][part]) / seconds for part, used in _used(running).items()}
                for name, running in started.items()
            }
            blocks[rate].append(found)
            sums = ", ".join(f"{name} {sum(parts.values()):.2f}" for name, parts in found.items())
            context.say(f"web page: block {number}, {rate:g} calls a second, % of a core: {sums}")
    return blocks


def _used(running: Running) -> dict[str, float]:
    """Return the CPU seconds that the parts of a Kiteway have used; Envoy answers the page in its main thread."""
    processes = tree(running.process.pid) if running.process is not None else {}
    used = dict.fromkeys(_PARTS, 0.0)
    for pid, name in processes.items():
        if name.startswith("envoy"):
            main = main_thread_seconds(pid)
            used[_MAIN] += main
            used[_WORKERS] += cpu_seconds(pid) - main
        else:
            page = "kiteway.dashboard" in Path(f"/proc/{pid}/cmdline").read_text().split("\0")
            used[_PAGE if page else _CONTROL] += cpu_seconds(pid)
    return used


def _outcome(blocks: Mapping[float, list[dict[str, dict[str, float]]]]) -> Outcome:
    header = ("% of a core", *_PARTS, "together", "added", "but for the workers")
    tables = [
        Table(f"{_TITLE}, {rate:,.0f} calls a second", header, [_row(name, of) for name in _KINDS])
        for rate, of in blocks.items()
    ]
    return Outcome(_TITLE, (_TEXT,), tables, (), {"blocks": {f"{rate:g}": of for rate, of in blocks.items()}})


def _row(name: str, blocks: list[dict[str, dict[str, float]]]) -> list[str]:
    def added(*parts: str) -> str:
        sums = [sum(each[name][part] - each[_NONE][part] for part in parts) for each in blocks]
        found = median_with_interval(sums)
        return f"{found.median:.2f} ({found.low:.2f} to {found.high:.2f})"

    return [
        name,
        *(f"{statistics.median(each[name][part] for each in blocks):.2f}" for part in _PARTS),
        f"{statistics.median(sum(each[name].values()) for each in blocks):.2f}",
        *(["", ""] if name == _NONE else [added(*_PARTS), added(_PAGE, _CONTROL, _MAIN)]),
    ]


class _Viewer:
    """Does what a browser does that shows the overview, until it is told to end."""

    def __init__(self, port: int) -> None:
        self.read = 0
        self._ended = threading.Event()
        self._client = httpx2.Client(base_url=f"http://127.0.0.1:{port}/api/", trust_env=False, timeout=30)

    def end(self) -> None:
        """Let the thread end with the next piece of the stream."""
        self._ended.set()

    def look(self) -> None:
        """Follow the stream."""
        while not self._ended.is_set():
            try:
                self._follow()
            except httpx2.TransportError:
                # It has not started yet, or the stream has ended, which it does after five minutes.
                self._ended.wait(0.5)

    def _follow(self) -> None:
        shown = None
        with self._client.stream("GET", "stream") as answer:
            for line in answer.iter_lines():
                if self._ended.is_set():
                    return
                if not line.startswith("data: "):
                    continue
                self.read += 1
                overview = json.loads(line.removeprefix("data: "))
                if shown != (shown := (overview["step"], overview["event"])):
                    for path in _OVERVIEW:
                        self._client.get(path).raise_for_status()


@contextmanager
def _viewer(port: int) -> Iterator[_Viewer]:
    viewer = _Viewer(port)
    thread = threading.Thread(target=viewer.look, daemon=True)
    thread.start()
    try:
        yield viewer
    finally:
        viewer.end()
        thread.join()
