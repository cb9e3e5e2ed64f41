"""The port of metrics and probes, and a control plane that hangs."""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

from tests.attack.attack import Attack, Seen, judge, measure_calls, measure_live
from tests.attack.live import Live
from tests.attack.world import LIMIT_SECONDS, World, world
from tests.support.kiteway import wait_until

_CONNECTIONS = 200
_PROBED_SECONDS = 5.0
_ADDRESSES = 1000
_HEAD = "GET /live HTTP/1.1\r\nHost: x\r\n"
_STORM = """
import collections, contextlib, itertools, os, signal, socket, sys
port, sent, addresses = int(sys.argv[1]), sys.argv[2].encode(), int(sys.argv[3])
def end(*_):
    print(count, flush=True)
    # An exception would be lost while the interpreter ends a socket.
    os._exit(0)
signal.signal(signal.SIGTERM, end)
count, held = 0, collections.deque(maxlen=500)
for at in itertools.cycle(range(addresses)):
    with contextlib.suppress(OSError):
        source = (f"127.1.{at // 250}.{1 + at % 250}", 0) if addresses > 1 else None
        held.append(socket.create_connection(("127.0.0.1", port), timeout=0.1, source_address=source))
        held[-1].send(sent)
        count += 1
"""
_HEADER = b"x-a: " + b"a" * (1 << 20)


def _crowd(port: int, first: bytes) -> Iterator[socket.socket]:
    """Open connections that send ``first`` and then nothing; those that are refused are left out."""
    for _ in range(_CONNECTIONS):
        with contextlib.suppress(OSError):
            connection = socket.create_connection(("127.0.0.1", port), timeout=5)
            connection.sendall(first)
            yield connection


def _crowded(first: bytes) -> Seen:
    with world() as found, contextlib.ExitStack() as stack:
        for connection in _crowd(found.ports.metrics, first):
            stack.enter_context(connection)
        end = time.monotonic() + _PROBED_SECONDS
        seen = Seen(change=found.change())
        # The probe goes on for as long as a kubelet would take to call it dead.
        wait_until(lambda: time.monotonic() > end, "the probe was asked", LIMIT_SECONDS)
        return _measured(seen, found)


def _measured(seen: Seen, found: World) -> Seen:
    measure_live(seen, found)
    measure_calls(seen, found)
    judge(seen)
    return seen


def _silent() -> Seen:
    return _crowded(b"")


def _half_a_request() -> Seen:
    return _crowded(_HEAD.encode())


def _long_header() -> Seen:
    return _crowded(b"GET /live HTTP/1.1\r\n" + _HEADER)


def _storm(sent: str, addresses: int) -> Seen:
    """Connect as fast as a process can, send ``sent`` on each connection, and hold it or hang up."""
    with world() as found:
        storm = subprocess.Popen(
            [sys.executable, "-c", _STORM, str(found.ports.metrics), sent, str(addresses)], stdout=subprocess.PIPE
        )
        try:
            end = time.monotonic() + _PROBED_SECONDS
            with Live(found.ports.metrics, "/ready") as ready:
                seen = Seen(change=found.change())
                wait_until(lambda: time.monotonic() > end, "the probe was asked", LIMIT_SECONDS)
            measure_live(seen, found)
            seen.live = max(found.live.slowest, ready.slowest)
            seen.check(holds=not ready.refused, otherwise=f"/ready failed {ready.refused} times")
        finally:
            storm.terminate()
            count = storm.communicate()[0].decode().strip()
        seen.refused = f"{count} connections"
        seen.check(holds=int(count or 0) > 1000, otherwise=f"there were {count} connections, which is no storm")
        measure_calls(seen, found)
        judge(seen)
        return seen


def _stopped() -> Seen:
    """Stop the control plane with SIGSTOP: the status says so in bounded time, and the victim is served on."""
    with world() as found:
        seen = Seen()
        measure_live(seen, found)
        seen.live = None
        pid, restarts = found.running.child("controlplane")
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        try:
            begin = time.monotonic()
            reason = str(found.running.status().get("reason", ""))
            took = time.monotonic() - begin
            seen.refused = reason[:60]
            seen.check(holds=took < LIMIT_SECONDS, otherwise=f"the status took {took:.0f} s")
            seen.check(
                holds="hangs" in reason or "does not answer" in reason,
                otherwise=f"the status does not say it: {reason}",
            )
            seen.check(holds=found.serves(), otherwise="the victim is not served")
            try:
                wait_until(lambda: found.running.child("controlplane")[1] > restarts, "it is started again", 60)
            except AssertionError:
                seen.broken.append("a control plane that hangs is not started again within 60 s")
            # As after every kill: what is measured next is a change, not the start of a process.
            wait_until(lambda: found.running.status()["ready"], "the control plane is ready", 60)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        return _measured_calls(seen, found)


def _measured_calls(seen: Seen, found: World) -> Seen:
    seen.change = found.change() if not seen.broken else None
    measure_calls(seen, found)
    judge(seen)
    return seen


ATTACKS = (
    Attack("D", f"{_CONNECTIONS} silent connections to the metrics port", _silent),
    Attack("D", f"{_CONNECTIONS} requests without an end to the metrics port", _half_a_request),
    Attack("D", f"{_CONNECTIONS} headers of 1 MiB to the metrics port", _long_header),
    *(
        Attack(
            "D", f"connections to the metrics port without a pause{what}", functools.partial(_storm, sent, addresses)
        )
        for what, sent, addresses in (
            ("", "", 1),
            (", with a byte on each", "G", 1),
            (f", with a byte on each, from {_ADDRESSES:,} addresses", "G", _ADDRESSES),
            (", with a probe on each", f"{_HEAD}\r\n", 1),
            (
                f", with a scrape on each, from {_ADDRESSES:,} addresses",
                "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n",
                _ADDRESSES,
            ),
        )
    ),
    Attack("D", "SIGSTOP of the control plane", _stopped, background=True),
)
