"""Fixtures and rules for all tests."""

from __future__ import annotations

import contextlib
import fcntl
import gc
import os
import random
import signal
import socket
import uuid
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from kiteway.envoy.binary import EnvoyNotFoundError, find_envoy
from tests.support.examples import number
from tools.in_netns import enter, isolated

# A failure in CI must be found again by everyone: no random seed there, and the example is printed as a blob. Nothing
# depends on how fast the machine is.
_ANY_SPEED = hypothesis.settings(
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
    print_blob=True,
    max_examples=number(),
)
hypothesis.settings.register_profile("ci", _ANY_SPEED, derandomize=True)
hypothesis.settings.register_profile("dev", _ANY_SPEED)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "dev")

_SESSION_VARIABLE = "KITEWAY_TEST_SESSION"

# Below Linux's ephemeral range (32768 up), so that no outgoing connection takes a port before its server binds it, and
# below the embedded Milvus's choice (12000 up).
_PORTS = range(10000, 12000)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of this test suite."""
    parser.addoption("--update-golden", action="store_true", help="write the outcomes of tests/golden anew")


def pytest_configure(config: pytest.Config) -> None:
    """Give each worker its own network, if the run has one: no other worker uses its ports and addresses."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # As in a shell's background; what a test starts would be deaf to Ctrl-C, too.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if hasattr(config, "workerinput") and isolated():
        # Not as root it takes a process without threads, which a worker is not: they share the run's network.
        with contextlib.suppress(OSError):
            enter()


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, Any, Any]:
    """
    Look for no garbage among what is collected: it stays until the end.

    Each look at these objects takes as long as many a test: a third of the processor's time of collection, a quarter of that
    of unit tests.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out slow tiers, and skip what starts the embedded Milvus unless no other machine can reach it."""
    for tier in ("browser", "chaos", "faults", "lite", "sdks"):
        if tier not in config.option.markexpr:
            items[:] = [item for item in items if not item.get_closest_marker(tier)]
    if isolated():
        return
    skip = pytest.mark.skip(
        reason="the embedded Milvus listens on every address; run in a network namespace of its own: make test"
    )
    for item in items:
        if item.get_closest_marker("milvus"):
            item.add_marker(skip)


class _TimeIsUp(KeyboardInterrupt):
    """The timeout of a test."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None, Any, Any]:
    """
    Report a timeout as one, also in a property test.

    Hypothesis takes pytest's own exception for the result of an example. It repeats the example, which ends differently then,
    and reports that the test is flaky. It lets an interruption pass.
    """
    fail = signal.getsignal(signal.SIGALRM)
    if not callable(fail):
        return (yield)

    def interrupt(*given: Any) -> None:
        try:
            fail(*given)
        except pytest.fail.Exception as failed:
            raise _TimeIsUp(failed.msg) from None

    signal.signal(signal.SIGALRM, interrupt)
    try:
        return (yield)
    except _TimeIsUp as interrupted:
        raise pytest.fail.Exception(str(interrupted)) from interrupted
    finally:
        signal.signal(signal.SIGALRM, fail)


@pytest.fixture(scope="session")
def envoy_binary() -> Path:
    """Return the path of a real Envoy, or skip on a platform that has none."""
    try:
        return find_envoy()
    except EnvoyNotFoundError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Return the event loop of tests with `pytest.mark.anyio`: the one of the control plane."""
    return "asyncio"


@pytest.fixture(scope="session")
def free_port() -> Callable[[], int]:
    """
    Return a function that gives a free TCP port of 127.0.0.1, another one with every call of the session.

    A process that can bind port 0 itself and report the port should do that instead.
    """
    untried = random.sample(_PORTS, len(_PORTS))

    def choose() -> int:
        while True:
            port = untried.pop()
            with contextlib.suppress(OSError), socket.socket() as probe:
                probe.bind(("127.0.0.1", port))
                return port

    return choose


@pytest.fixture
def port_9091(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Give Milvus's own management port to one test at a time, should the workers share a network."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base
    with (shared / "port-9091.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield 9091


def _left_behind(session: str) -> list[tuple[int, str]]:
    """Return pid and command line of the processes that carry the mark of this session, this one left out."""
    mark = f"{_SESSION_VARIABLE}={session}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            environment = (entry / "environ").read_bytes().split(b"\0")
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        except OSError:
            continue  # gone meanwhile, or another user's
        if mark in environment and "multiprocessing.resource_tracker" not in command:
            found.append((int(entry.name), command))
    return found


@pytest.fixture(scope="session", autouse=True)
def _no_process_left() -> Iterator[None]:
    """Fail the session if a process that a test started outlives it, and end that process."""
    if not Path("/proc/self/environ").exists():
        yield
        return
    session = uuid.uuid4().hex
    os.environ[_SESSION_VARIABLE] = session
    yield
    left = _left_behind(session)
    for pid, _ in left:
        os.kill(pid, signal.SIGKILL)
    assert not left, "left behind by a test: " + "; ".join(f"{pid} {command[:200]}" for pid, command in left)
