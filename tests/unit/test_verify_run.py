"""The steps, the end and the clean-up of a verification, with a stand-in for PyMilvus."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import threading
from types import SimpleNamespace
from typing import Any

import grpc
import pytest

from kiteway.extras import install_command
from kiteway.milvus.verify import Failure, FailureReason, SdkMissingError, Step, Target, run, verify
from kiteway.milvus.verify.diagnose import PROBE_LIMIT
from kiteway.milvus.verify.session import CONNECT_LIMIT

pytestmark = pytest.mark.anyio

STEPS = (
    "connect-orm",
    "connect-client",
    "create",
    "insert",
    "flush",
    "index",
    "load",
    "search",
    "query",
    "delete",
    "drop",
)


class _FakeMilvus:
    """A Milvus in memory, with one place to go wrong."""

    def __init__(self) -> None:
        self.collections: dict[str, dict[int, Any]] = {}
        self.dropped: list[str] = []
        self.closed = 0
        self.flushing = threading.Event()
        self.release = threading.Event()
        self.release.set()
        self.flush_error: Exception | None = None
        self.drop_error: Exception | None = None
        self.first_hit: int | None = None
        self.flushed = False
        self.dropped_while_flushing = False

    @property
    def pymilvus(self) -> Any:
        """The module as far as the session uses it."""
        return SimpleNamespace(
            __version__="3.0.2",
            connections=SimpleNamespace(connect=lambda *_, **__: None, remove_connection=self._close),
            utility=SimpleNamespace(get_server_version=lambda **_: "v2.3.5"),
            DataType=SimpleNamespace(INT64=5, FLOAT_VECTOR=101),
            MilvusClient=lambda **_: self,
        )

    def _close(self, *_: str) -> None:
        self.closed += 1

    close = _close

    def get_server_version(self, timeout: float) -> str:
        return "v2.3.5"

    def create_schema(self, **_: bool) -> Any:
        return SimpleNamespace(add_field=lambda *_, **__: None)

    def create_collection(self, name: str, *, schema: Any, timeout: float) -> None:
        self.collections[name] = {}

    def insert(self, name: str, rows: list[dict[str, Any]], timeout: float) -> dict[str, int]:
        self.collections[name] = {row["id"]: row["vector"] for row in rows}
        return {"insert_count": len(rows)}

    def flush(self, name: str, timeout: float) -> None:
        self.flushing.set()
        assert self.release.wait(30)
        if self.flush_error is not None:
            raise self.flush_error
        self.flushed = True

    def prepare_index_params(self) -> Any:
        return SimpleNamespace(add_index=lambda *_, **__: None)

    def create_index(self, name: str, parameters: Any, timeout: float) -> None:
        pass

    def load_collection(self, name: str, timeout: float) -> None:
        pass

    def search(self, name: str, *, data: list[Any], **_: Any) -> list[list[dict[str, Any]]]:
        nearest = next(key for key, vector in self.collections[name].items() if vector == data[0])
        return [[{"id": nearest if self.first_hit is None else self.first_hit, "distance": 0.0}]]

    def query(self, name: str, *, filter: str, **_: Any) -> list[dict[str, int]]:  # noqa: A002 - PyMilvus's name
        wanted = [int(number) for number in filter.partition("[")[2].rstrip("]").split(",")]
        return [{"id": number} for number in wanted if number in self.collections[name]]

    def delete(self, name: str, *, ids: list[int], timeout: float) -> None:
        for number in ids:
            del self.collections[name][number]

    def drop_collection(self, name: str, timeout: float) -> None:
        if self.drop_error is not None:
            raise self.drop_error
        del self.collections[name]
        self.dropped.append(name)
        self.dropped_while_flushing = not self.flushed


@pytest.fixture
def milvus(monkeypatch: pytest.MonkeyPatch) -> _FakeMilvus:
    """Return a made-up Milvus that the verification will use."""
    fake = _FakeMilvus()
    monkeypatch.setattr(run, "load_pymilvus", lambda: fake.pymilvus)
    return fake


TARGET = Target(host="127.0.0.1", port=1, secure=False)


async def test_a_good_run_takes_every_step_once(milvus: _FakeMilvus) -> None:
    """All steps run in order, each is reported as it ends, no collection is left, and everything is closed."""
    seen: list[Step] = []
    report = await verify(TARGET, on_step=seen.append, timeout=30)
    assert report.verified
    assert report.failure is None
    assert [step.name for step in report.steps] == list(STEPS)
    assert tuple(seen) == report.steps
    assert (report.versions.pymilvus, report.versions.milvus) == ("3.0.2", "v2.3.5")
    assert (milvus.collections, report.leftover, milvus.closed) == ({}, None, 2)


async def test_each_run_has_a_collection_of_its_own(milvus: _FakeMilvus) -> None:
    """Two runs never share a name, and the name shows its origin."""
    await verify(TARGET, timeout=30)
    await verify(TARGET, timeout=30)
    assert len(set(milvus.dropped)) == 2
    assert all(name.startswith("kiteway_verify_") for name in milvus.dropped)


async def test_a_wrong_neighbour_is_not_verified(milvus: _FakeMilvus) -> None:
    """A search that does not return the row itself first is a failure, and the collection is dropped."""
    milvus.first_hit = 3
    report = await verify(TARGET, timeout=30)
    assert report.failure is not None
    assert report.failure.reason is FailureReason.WRONG_ANSWER
    assert report.steps[-1].name == "search"
    assert (milvus.collections, report.leftover) == ({}, None)


async def test_a_delete_that_does_not_delete_is_not_verified(
    milvus: _FakeMilvus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows that still exist after their delete are a failure."""
    monkeypatch.setattr(milvus, "delete", lambda *_, **__: None)
    report = await verify(TARGET, timeout=30)
    assert report.failure is not None
    assert report.failure.reason is FailureReason.WRONG_ANSWER
    assert report.steps[-1].name == "delete"
    assert milvus.collections == {}


async def test_a_collection_that_cannot_be_dropped_is_named(milvus: _FakeMilvus) -> None:
    """The report names a collection that is left."""
    milvus.drop_error = RuntimeError("no")
    report = await verify(TARGET, timeout=30)
    assert not report.verified
    assert list(milvus.collections) == [report.leftover]


async def test_cancellation_drops_the_collection(milvus: _FakeMilvus) -> None:
    """After Ctrl-C during a step the step ends, then the collection is dropped and the connections are closed."""
    milvus.release.clear()
    task = asyncio.ensure_future(verify(TARGET, timeout=30))
    assert await asyncio.to_thread(milvus.flushing.wait, 30)
    assert milvus.collections
    task.cancel()
    asyncio.get_running_loop().call_later(0.05, milvus.release.set)
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (milvus.collections, milvus.closed) == ({}, 2)
    assert not milvus.dropped_while_flushing


async def test_a_step_that_hangs_is_left_at_the_time_limit(milvus: _FakeMilvus) -> None:
    """A call that never returns is a failure at the time limit, and the run is still cleaned up."""
    milvus.release.clear()
    report = await verify(TARGET, timeout=3)
    milvus.release.set()
    assert not report.verified
    assert report.steps[-1].name == "flush"
    assert milvus.collections == {}


class _UnavailableError(grpc.RpcError, grpc.Call):  # type: ignore[misc]
    """What PyMilvus raises when its retries are over."""

    def code(self) -> grpc.StatusCode:
        return grpc.StatusCode.UNAVAILABLE

    def details(self) -> str:
        return "no healthy upstream"


async def test_the_error_of_a_late_step_is_explained(milvus: _FakeMilvus, monkeypatch: pytest.MonkeyPatch) -> None:
    """PyMilvus retries past the time limit: the gRPC status it then raises is the cause, not the time."""
    explained = []

    async def diagnose(
        _target: Target, step: str, error: Exception, *, timeout: float, found: Failure | None
    ) -> Failure:
        assert found is None, "what was found before the steps explains a failed connect only"
        explained.append((step, error))
        return Failure(FailureReason.MILVUS, "", "")

    monkeypatch.setattr(run, "diagnose", diagnose)
    milvus.flush_error = _UnavailableError()  # type: ignore[abstract]  # an exception may be; no more of it is read
    milvus.release.clear()
    monkeypatch.setattr(run, "_RESERVE", 0.9)  # the steps have one second, the late error nine
    await verify(TARGET, timeout=10, on_step=lambda step: None if step.ok else milvus.release.set())
    assert explained == [("flush", milvus.flush_error)]


async def test_nobody_waits_for_a_connect_that_the_probes_know_to_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A server that accepts connections and never answers: what the probes found meanwhile is the report's sentence, they are
    not repeated, and PyMilvus gets two seconds instead of its ten.
    """
    found, given = Failure(FailureReason.TLS, "It never answers.", ""), []

    async def probe_layers(_target: Target, *, limit: float) -> Failure:
        assert limit <= PROBE_LIMIT
        return found

    def connect(*_: Any, timeout: float, **__: Any) -> None:
        given.append(timeout)
        raise ConnectionError("Fail connecting to server")

    connections = SimpleNamespace(connect=connect, remove_connection=lambda *_: None)
    monkeypatch.setattr(run, "load_pymilvus", lambda: SimpleNamespace(__version__="3.0.2", connections=connections))
    monkeypatch.setattr(run, "probe_layers", probe_layers)
    report = await verify(TARGET)
    assert (given, report.failure) == ([2.0], found)


@pytest.mark.parametrize("reason", [FailureReason.TIMEOUT, FailureReason.NO_HEALTHY_ENDPOINT, FailureReason.MILVUS])
async def test_a_milvus_that_was_slow_to_the_probes_is_verified(
    milvus: _FakeMilvus, monkeypatch: pytest.MonkeyPatch, reason: FailureReason
) -> None:
    """A Milvus that starts, or is far away, may need longer than a probe has: PyMilvus gets its whole time."""
    given: list[float] = []

    async def probe_layers(_target: Target, *, limit: float) -> Failure:
        return Failure(reason, f"No answer in {limit} s.", "")

    module = milvus.pymilvus
    module.connections.connect = lambda *_, timeout, **__: given.append(timeout)
    monkeypatch.setattr(run, "load_pymilvus", lambda: module)
    monkeypatch.setattr(run, "probe_layers", probe_layers)
    report = await verify(TARGET, timeout=60)
    assert (given, report.verified) == ([CONNECT_LIMIT], True)


async def test_the_time_of_the_probes_counts(milvus: _FakeMilvus, monkeypatch: pytest.MonkeyPatch) -> None:
    """The time limit is for everything."""
    given: list[float] = []

    async def probe_layers(_target: Target, *, limit: float) -> Failure:
        await asyncio.sleep(limit)
        return Failure(FailureReason.TIMEOUT, "", "")

    module = milvus.pymilvus
    module.connections.connect = lambda *_, timeout, **__: given.append(timeout)
    monkeypatch.setattr(run, "load_pymilvus", lambda: module)
    monkeypatch.setattr(run, "probe_layers", probe_layers)
    await verify(TARGET, timeout=5)
    (seconds,) = given
    assert seconds <= (5 * 0.8 - 5 * 0.2) / 2, "half of what is left, as the rest is for PyMilvus's sleep"


async def test_without_pymilvus_there_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the missing extra."""
    monkeypatch.setitem(sys.modules, "pymilvus", None)
    with pytest.raises(SdkMissingError, match=re.escape(install_command("verify"))):
        await verify(TARGET)


def test_a_hanging_call_does_not_keep_the_process() -> None:
    """A process whose client hangs in a call ends as soon as its event loop does."""
    program = (
        "import asyncio, threading\n"
        "from kiteway.probe.threads import in_daemon_thread\n"
        "async def main():\n"
        "    async with asyncio.timeout(0.05):\n"
        "        await in_daemon_thread(threading.Event().wait, name='hang')\n"
        "try:\n"
        "    asyncio.run(main())\n"
        "except TimeoutError:\n"
        "    print('ended')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout == "ended\n"
