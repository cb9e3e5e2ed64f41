"""Load from h2load, because a Python client would be the slowest part of the measurement."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from bench.outcome import BenchError
from bench.stats import quantile

_FINISHED = re.compile(r"^finished in ([\d.]+)(us|ms|s),", re.MULTILINE)
_REQUESTS = re.compile(r"^requests: .*?(\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout", re.MULTILINE)
_DATA = re.compile(r"^traffic: .*\((\d+)\) data", re.MULTILINE)
_SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0}
_TIMEOUT_SECONDS = 600

CONNECTIONS = 4
"""Connections that a load usually opens."""

STREAMS = 8
"""Calls under way on each, where the backend is not the slowest part."""


@dataclass(frozen=True)
class Call:
    """
    A gRPC call to repeat, and how many of them are under way at a time.

    Attributes:
        path: ``/package.Service/Method``.
        body: a file with the request as one gRPC frame.
        connections: how many connections h2load opens.
        streams: how many calls are under way on each.
    """

    path: str
    body: Path
    connections: int
    streams: int


@dataclass(frozen=True)
class Load:
    """What the client saw: seconds in all, bytes of answer per call, and microseconds a call took."""

    seconds: float
    answer_bytes: float
    p50: float
    p99: float


def h2load(
    program: Path, call: Call, *, host: str, port: int, calls: int, log: Path, rate: float | None = None
) -> Load:
    """
    Make ``calls`` calls over TLS to 127.0.0.1:``port`` as ``host``, ``rate`` a second; None: as many as possible.

    h2load knows HTTP only: whether the answers mean success is for the caller to see, from the size of the answers
    and from a gRPC client before and after.

    Raises:
        BenchError: a request failed, or h2load did.
    """
    log.unlink(missing_ok=True)
    command = [
        str(program),
        f"--requests={calls}",
        f"--clients={call.connections}",
        f"--max-concurrent-streams={call.streams}",
        "--threads=1",
        f"--data={call.body}",
        "--header=content-type: application/grpc",
        "--header=te: trailers",
        f"--connect-to=127.0.0.1:{port}",
        f"--log-file={log}",
        *([f"--rps={rate / call.connections}"] if rate else []),
        f"https://{host}{call.path}",
    ]
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=_TIMEOUT_SECONDS)
    except subprocess.TimeoutExpired as error:
        raise BenchError(f"h2load was not done with {calls} calls after {_TIMEOUT_SECONDS} s") from error
    finished, requests, data = (pattern.search(done.stdout) for pattern in (_FINISHED, _REQUESTS, _DATA))
    if done.returncode != 0 or finished is None or requests is None or data is None:
        raise BenchError(f"h2load failed ({done.returncode}): {(done.stderr or done.stdout).strip()[-500:]}")
    if [int(number) for number in requests.groups()] != [calls, 0, 0, 0]:
        raise BenchError(f"not every call succeeded: {requests.group(0)}")
    times = [float(line.split("\t")[2]) for line in log.read_text().splitlines()]
    return Load(
        seconds=float(finished[1]) * _SECONDS[finished[2]],
        answer_bytes=int(data[1]) / calls,
        p50=quantile(times, 0.5),
        p99=quantile(times, 0.99),
    )
