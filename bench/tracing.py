"""
The cost of traces: Kiteway without them, with 1 % of the calls traced, and with all.

Envoy's tracer makes a span of each call, also of one that is not sampled; so 1 % costs more than a hundredth of 100 %.
"""

from __future__ import annotations

import functools
import http.server
import random
import statistics
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from bench.backends import search, server_certificate, trivial_backend
from bench.balancers import HOST, Running, Setting, kiteway
from bench.grpc_check import wait_until_it_serves
from bench.load import CONNECTIONS, STREAMS, Call, h2load
from bench.outcome import Context, Outcome, Table
from bench.stats import median_with_interval

_TITLE = "Traces"
_OFF = "no traces"
_KINDS = {_OFF: (), "1 % traced": ("--trace-sampling", "1"), "all traced": ("--trace-sampling", "100")}
_START_SECONDS = 60.0
_PILOT_CALLS = 500
_TEXT = (
    f"A Search through Kiteway without access log, before a backend of no cost (nghttpd): {STREAMS} calls at a time on each of "
    f"{CONNECTIONS} connections. CPU time is that of all of Kiteway's processes, the control plane's included; “of a core” is "
    "the CPU time that traces add, at a thousand calls a second. The collector takes everything and is not among the processes. "
    "Ratios are of blocks within one round, in random order: the median and its 95 % interval."
)


async def run(context: Context) -> Outcome:
    """Measure."""
    if "nghttpd" not in context.programs:
        return Outcome(_TITLE, (_TEXT,), (), (), {}, ("Traces: there is no nghttpd on this machine.",))
    certificate, key = server_certificate(context.work)
    with ExitStack() as stack:
        backend = stack.enter_context(trivial_backend(context.programs["nghttpd"], context.work, certificate, key))
        port = stack.enter_context(_collector())
        started: dict[str, Running] = {}
        for name, options in _KINDS.items():
            work = context.work / name.replace(" ", "-")
            work.mkdir()
            setting = Setting(work, context.programs, backend, certificate, key)
            more = (*options, "--otlp-endpoint", f"http://127.0.0.1:{port}") if options else ()
            started[name] = stack.enter_context(kiteway(setting, "--no-access-log", *more))
        rounds = _rounds(context, started)
    return _outcome(rounds)


def _rounds(context: Context, started: dict[str, Running]) -> list[dict[str, float]]:
    """Return the microseconds of CPU for a call, by round and kind."""
    request = search(1)
    body = context.work / "search.grpc"
    body.write_bytes(request.frame())
    call = Call(request.path, body, CONNECTIONS, STREAMS)
    load = functools.partial(h2load, context.programs["h2load"], call, host=HOST, log=context.work / "h2load.log")
    for running in started.values():
        wait_until_it_serves(
            HOST, running.port, request.path, request.message, seconds=_START_SECONDS, ended=running.ended
        )
    pilot = max(load(port=running.port, calls=_PILOT_CALLS).seconds for running in started.values())
    calls = max(_PILOT_CALLS, round(_PILOT_CALLS / pilot * context.block_seconds))
    rounds = []
    for number in range(1, context.rounds + 1):
        found = {}
        for name in random.sample(sorted(started), len(started)):
            every, _ = started[name].meters()
            load(port=started[name].port, calls=calls)
            found[name] = every.seconds() / calls * 1e6
        rounds.append(found)
        context.say(f"traces: round {number}, CPU µs a call: {', '.join(f'{n} {found[n]:.1f}' for n in started)}")
    return rounds


def _outcome(rounds: list[dict[str, float]]) -> Outcome:
    rows = []
    for name in _KINDS:
        ratio = median_with_interval([each[name] / each[_OFF] for each in rounds])
        added = statistics.median([each[name] - each[_OFF] for each in rounds])
        rows.append(
            [
                name,
                f"{statistics.median([each[name] for each in rounds]):.1f}",
                f"{ratio.median:.3f} ({ratio.low:.3f} to {ratio.high:.3f})",
                # Microseconds a call at a thousand calls a second are thousandths of a core.
                f"{added / 10:.2f} %",
            ]
        )
    header = ("", "CPU µs a call", "of no traces", "of a core, added")
    return Outcome(_TITLE, (_TEXT,), (Table(_TITLE, header, rows),), (), {"rounds": rounds})


@contextmanager
def _collector() -> Iterator[int]:
    """Take exports and forget them; yield the port."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Sink)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Sink(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Read an export, which comes in chunks."""
        while size := int(self.rfile.readline(), 16):
            self.rfile.read(size + 2)
        self.rfile.readline()
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name in the base class
        """Say nothing."""
