"""A proxy that is ten times slower than the others delays few calls, and those for a short time."""

from __future__ import annotations

import contextlib
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from string import Template

import grpc
import pytest

from tests.chaos.balancers import nginx_program
from tests.e2e.traffic import OK_RESULT, SEARCH, Backend, call, model, running
from tests.support.kiteway import wait_until
from tests.support.load import Calls

pytestmark = [pytest.mark.e2e, pytest.mark.chaos, pytest.mark.timeout(180)]

_SERVICE_SECONDS = 0.05
_TENFOLD = 10
_CAPACITY = 4
"""Searches a proxy works on at a time; further ones wait, as they do for a CPU."""
_CLIENTS = 36
_SECONDS = 12.0


class Worker:
    """What a proxy of limited capacity answers, after its time."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._free = threading.Semaphore(_CAPACITY)

    def __call__(self, _request: bytes, _context: grpc.ServicerContext) -> bytes:
        """Answer."""
        with self._free:
            time.sleep(self._seconds)
        return OK_RESULT


@contextlib.contextmanager
def _nginx(folder: Path, port: int, backends: list[Backend], program: Path) -> Iterator[None]:
    text = Template((Path(__file__).with_name("configs") / "nginx-plaintext.conf").read_text()).substitute(
        work=folder, port=port, endpoints="\n".join(f"server 127.0.0.1:{backend.port};" for backend in backends)
    )
    (folder / "nginx.conf").write_text(text)
    with (folder / "nginx.log").open("wb") as log:
        command = [str(program), "-e", "stderr", "-p", str(folder), "-c", str(folder / "nginx.conf")]
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        yield
    finally:
        process.terminate()
        process.wait(15)


def _load(port: int) -> Calls:
    """Search from as many clients as there are, each with the next call when it has an answer."""
    calls, lock, end = Calls(), threading.Lock(), time.monotonic() + _SECONDS

    def client(channel: grpc.Channel) -> None:
        while time.monotonic() < end:
            begin = time.monotonic()
            assert call(channel, SEARCH) == OK_RESULT
            with lock:
                calls.seconds.append(time.monotonic() - begin)

    with grpc.insecure_channel(f"127.0.0.1:{port}", [("grpc.enable_retries", 0)]) as channel:
        threads = [threading.Thread(target=client, args=(channel,)) for _ in range(_CLIENTS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return calls


def _answers(port: int) -> bool:
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel, contextlib.suppress(grpc.RpcError):
        return call(channel, SEARCH) == OK_RESULT
    return False


def test_the_slowest_reads_take_at_most_half_of_round_robin(tmp_path: Path, free_port: Callable[[], int]) -> None:
    """With one of three proxies ten times slower, p99 is at most half of that behind nginx, in the same run."""
    program = nginx_program()
    if program is None:
        pytest.skip("there is no nginx; python tools/debian.py nginx-light gets it")
    slow, fast = Worker(_SERVICE_SECONDS * _TENFOLD), [Worker(_SERVICE_SECONDS) for _ in range(2)]
    with Backend(slow) as one, Backend(fast[0]) as two, Backend(fast[1]) as three:
        backends, port = [one, two, three], free_port()
        with running(tmp_path, free_port) as ours, _nginx(tmp_path, port, backends, program):
            ours.apply(model(), [backend.endpoint() for backend in backends])
            wait_until(lambda: _answers(port), "nginx answers")
            theirs_calls, our_calls = _load(port), _load(ours.port)

    print(  # noqa: T201 - the figures for the note on chaos
        f"p50/p99: nginx {theirs_calls.quantile(0.5):.3f}/{theirs_calls.quantile(0.99):.3f} s of {theirs_calls.ok}, "
        f"Kiteway {our_calls.quantile(0.5):.3f}/{our_calls.quantile(0.99):.3f} s of {our_calls.ok}"
    )
    assert our_calls.quantile(0.99) <= theirs_calls.quantile(0.99) / 2
    assert our_calls.ok > 2 * theirs_calls.ok
