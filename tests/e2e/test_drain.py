"""No call fails when an endpoint, Kiteway itself, an old version or a replica is stopped."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import shutil
import signal
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest

from kiteway.demo.guide import HOST
from kiteway.envoy.admin import AdminClient
from kiteway.files import write_atomic
from kiteway.milvus.embedded import StandaloneMilvus, TLSFiles
from tests.e2e.traffic import OK_RESULT, SEARCH, Backend
from tests.support.kiteway import Running, tls_files, up, up_with_guide, wait_until
from tests.support.load import MixedLoad, Shape, Target, prepare
from tests.support.relay import Relay
from tools.in_netns import isolated

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

DRAINING_SECONDS = 4
_KEYS = itertools.count(1_000_000)
_MIGRATE = Path("/proc/sys/net/ipv4/tcp_migrate_req")

MANIFESTS = """
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {{name: milvus, namespace: default}}
spec:
  defaultBackend: {{service: {{name: milvus, port: {{number: 19530}}}}}}
---
apiVersion: v1
kind: Service
metadata:
  name: milvus
  namespace: default
  annotations: {{cloud.google.com/backend-config: '{{"default": "drains"}}', cloud.google.com/neg: '{{"ingress": true}}'}}
spec:
  ports: [{{name: milvus, port: 19530, appProtocol: kubernetes.io/h2c}}]
---
apiVersion: cloud.google.com/v1
kind: BackendConfig
metadata: {{name: drains, namespace: default}}
spec:
  connectionDraining: {{drainingTimeoutSec: {seconds}}}
"""

SLICE = """
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: milvus-{port}, namespace: default, labels: {{kubernetes.io/service-name: milvus}}}}
addressType: IPv4
ports: [{{name: milvus, port: {port}}}]
endpoints: [{{addresses: [127.0.0.1]}}]
"""


class Slow:
    """What a backend answers: a request that says so waits until it is let go."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.waiting = threading.Semaphore(0)

    def __call__(self, request: bytes, _context: grpc.ServicerContext) -> bytes:
        """Answer."""
        if request == b"wait":
            self.waiting.release()
            assert self.go_on.wait(60)
        return OK_RESULT


@dataclass
class Pair:
    """Two backends behind a ``kiteway up`` with a plaintext port."""

    backends: tuple[Backend, Backend]
    slow: Slow
    running: Running
    manifests: Path
    port: int

    def channel(self) -> grpc.Channel:
        """Connect without retries."""
        options = [("grpc.enable_retries", 0), ("grpc.use_local_subchannel_pool", 1)]
        return grpc.insecure_channel(f"127.0.0.1:{self.port}", options)

    def holder(self) -> int:
        """Return which backend has the call that waits."""
        assert self.slow.waiting.acquire(timeout=30)
        return next(i for i, backend in enumerate(self.backends) if any(c.size == 4 for c in backend.calls))

    def failures(self) -> dict[int, frozenset[str]]:
        """Return why each endpoint of Envoy gets no traffic, by port."""

        async def ask() -> dict[int, frozenset[str]]:
            async with AdminClient(self.running.instance.admin_socket) as admin:
                clusters = await admin.clusters()
            cluster = next(c for name, c in clusters.items() if name.endswith("/grpc"))
            return {int(e.address.rpartition(":")[2]): e.failures for e in cluster.endpoints}

        return asyncio.run(ask())


@pytest.fixture
def pair(free_port: Callable[[], int]) -> Iterator[Pair]:
    """Start two backends and Kiteway."""
    folder = Path(tempfile.mkdtemp(prefix="kw-"))
    slow = Slow()
    try:
        with Backend(slow) as one, Backend(slow) as two:
            kept = folder / "manifests"
            kept.mkdir()
            (kept / "balancer.yaml").write_text(MANIFESTS.format(seconds=DRAINING_SECONDS))
            for backend in (one, two):
                (kept / f"slice-{backend.port}.yaml").write_text(SLICE.format(port=backend.port))
            port = free_port()
            arguments = ["-f", str(kept), "--https-port", str(free_port()), "--http-port", str(port), "--drain", "30"]
            with up(arguments, folder / "data") as running:
                running.wait_healthy(2)
                yield Pair((one, two), slow, running, kept, port)
    finally:
        slow.go_on.set()
        shutil.rmtree(folder)


def _start(channel: grpc.Channel, body: bytes) -> Any:
    method: Any = channel.unary_unary(SEARCH)
    return method.future(body, timeout=60)


def test_an_endpoint_that_leaves_finishes_its_calls(pair: Pair) -> None:
    """
    It drains for drainingTimeoutSec: the call in flight is answered, new ones go to other endpoints, then it
    is removed.
    """
    with pair.channel() as channel:
        call = _start(channel, b"wait")
        index = pair.holder()
        leaving, staying = pair.backends[index], pair.backends[1 - index]
        (pair.manifests / f"slice-{leaving.port}.yaml").unlink()
        wait_until(lambda: "eds_draining" in pair.failures().get(leaving.port, ()), "the endpoint drains")

        before = len(leaving.calls)
        assert {_start(channel, b"").result(10) for _ in range(10)} == {OK_RESULT}
        assert len(leaving.calls) == before
        assert staying.count("Search") >= 10

        pair.slow.go_on.set()
        assert call.result(10) == OK_RESULT
        wait_until(lambda: leaving.port not in pair.failures(), "the endpoint is gone", DRAINING_SECONDS + 10)
        assert pair.failures() == {staying.port: frozenset()}


def test_an_endpoint_that_comes_back_gets_calls_again(pair: Pair) -> None:
    """Adding the endpoint again during its drain ends the drain."""
    port = pair.backends[0].port
    file = pair.manifests / f"slice-{port}.yaml"
    text = file.read_bytes()
    file.unlink()
    wait_until(lambda: "eds_draining" in pair.failures().get(port, ()), "the endpoint drains")
    write_atomic(file, text)
    wait_until(lambda: pair.failures().get(port) == frozenset(), "the endpoint serves again")

    with pair.channel() as channel:
        wait_until(
            lambda: _start(channel, b"").result(10) == OK_RESULT and pair.backends[0].count("Search"), "it has a call"
        )


def test_sigterm_is_not_ready_then_goaway_then_the_end(pair: Pair) -> None:
    """The call in flight is answered, new connections are refused, an idle client gets GOAWAY; the exit status is 0."""
    with pair.channel() as idle, pair.channel() as busy:
        assert _start(idle, b"").result(10) == OK_RESULT
        states: list[grpc.ChannelConnectivity] = []
        idle.subscribe(states.append)
        call = _start(busy, b"wait")
        pair.holder()

        pair.running.process.send_signal(signal.SIGTERM)

        wait_until(lambda: not pair.running.status()["ready"], "status says not ready")
        wait_until(lambda: not _accepts(pair.port), "new connections are refused")
        wait_until(lambda: states and states[-1] is grpc.ChannelConnectivity.IDLE, "the idle client was sent away")
        assert pair.running.process.poll() is None
        assert not call.done()

        pair.slow.go_on.set()
        assert call.result(10) == OK_RESULT
        assert pair.running.process.wait(20) == 0


@pytest.mark.parametrize("replaces", [False, True])
def test_an_instance_gets_the_port_of_a_draining_one(
    pair: Pair, free_port: Callable[[], int], *, replaces: bool
) -> None:
    """
    The port is free as soon as the draining instance accepts no connections, however long its calls take.

    A successor with --replace does not signal the draining instance: a second signal would cut its drain short.
    """
    with pair.channel() as busy:
        call = _start(busy, b"wait")
        pair.holder()
        pair.running.process.send_signal(signal.SIGTERM)

        folder = pair.manifests.parent
        arguments = ["-f", str(pair.manifests), "--https-port", str(free_port()), "--http-port", str(pair.port)]
        if replaces:
            arguments += ["--replace", str(pair.running.instance.data_dir)]
        with up(arguments, folder / "next") as following:
            following.wait_healthy(2)
            with pair.channel() as channel:
                assert _start(channel, b"").result(20) == OK_RESULT
            assert pair.running.process.poll() is None
            assert not call.done()

            pair.slow.go_on.set()
            assert call.result(10) == OK_RESULT
            assert pair.running.process.wait(20) == 0


def _accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 2).close()
    except OSError:
        return False
    return True


@dataclass(frozen=True)
class Site:
    """A Milvus, and what a Kiteway before it needs."""

    folder: Path
    front: TLSFiles
    endpoint: tuple[int, int]

    def target(self, port: int) -> Target:
        """Return what listens on a port as a target of load."""
        return Target("kiteway", f"127.0.0.1:{port}", self.front.cert, HOST, "steady")


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """Start a Milvus with TLS and a collection."""
    folder = Path(tempfile.mkdtemp(prefix="kw-"))
    loop = asyncio.new_event_loop()
    backend = tls_files(folder, "backend", "localhost")
    milvus = StandaloneMilvus(folder / "milvus", tls=backend)
    try:
        loop.run_until_complete(milvus.start())
        at = milvus.endpoint
        prepare(at.port, backend.cert, "steady")
        yield Site(folder, tls_files(folder, "front", HOST), (at.port, at.health_port))
    finally:
        loop.run_until_complete(milvus.stop())
        loop.close()
        shutil.rmtree(folder)


@pytest.fixture
def _migrating() -> Iterator[None]:
    """Let the kernel hand waiting connections from a listener that closes to another one."""
    if not (isolated() and os.access(_MIGRATE, os.W_OK)):
        pytest.skip("net.ipv4.tcp_migrate_req cannot be set here")
    before = _MIGRATE.read_text()
    _MIGRATE.write_text("1")
    yield
    _MIGRATE.write_text(before)


def _stop(running: Running) -> None:
    running.process.send_signal(signal.SIGTERM)
    assert running.process.wait(60) == 0


def _assert_nothing_failed(load: MixedLoad) -> None:
    assert not load.reads.failures
    assert not load.writes.failures
    assert load.reads.ok > 50
    assert load.writes.ok > 10


@pytest.mark.milvus
@pytest.mark.usefixtures("_migrating")
def test_a_new_version_takes_over_the_port(site: Site, free_port: Callable[[], int]) -> None:
    """A successor listens beside the first instance, which then drains and ends: no read or write fails."""
    port = free_port()
    with contextlib.ExitStack() as stack:
        old = stack.enter_context(up_with_guide(site.folder / "old", site.front, port, [site.endpoint]))
        load = stack.enter_context(MixedLoad(site.target(port), _KEYS))
        new = up_with_guide(site.folder / "new", site.front, port, [site.endpoint], replaces=old.instance.data_dir)
        stack.enter_context(new)
        assert old.process.wait(60) == 0
        load.wait_for(100)
        load.join()

    _assert_nothing_failed(load)


@pytest.mark.milvus
def test_a_rolling_update_of_two_replicas(site: Site, free_port: Callable[[], int]) -> None:
    """Behind one Layer-4 address each replica is replaced in turn: no read or write fails."""
    ports = free_port(), free_port()
    with contextlib.ExitStack() as stack:
        replicas = [
            stack.enter_context(up_with_guide(site.folder / f"first-{port}", site.front, port, [site.endpoint]))
            for port in ports
        ]
        relay = stack.enter_context(Relay(*ports))
        load = stack.enter_context(MixedLoad(site.target(relay.port), _KEYS, Shape(readers=3, writers=2, alone=3)))
        for port, replica in zip(ports, replicas, strict=True):
            _stop(replica)
            load.wait_for(50)
            stack.enter_context(up_with_guide(site.folder / f"second-{port}", site.front, port, [site.endpoint]))
            load.wait_for(50)
        load.join()

    _assert_nothing_failed(load)


@pytest.mark.milvus
def test_a_killed_replica_costs_only_the_calls_in_flight(site: Site, free_port: Callable[[], int]) -> None:
    """Each client has at most one failure, its call in flight, and goes on through the other replica."""
    ports = free_port(), free_port()
    shape = Shape(readers=3, writers=2, alone=3)
    with contextlib.ExitStack() as stack:
        replicas = [
            stack.enter_context(up_with_guide(site.folder / f"killed-{port}", site.front, port, [site.endpoint]))
            for port in ports
        ]
        relay = stack.enter_context(Relay(*ports))
        load = stack.enter_context(MixedLoad(site.target(relay.port), _KEYS, shape))
        replicas[0].kill("envoy")
        load.wait_for(100)
        load.join()

    assert load.reads.failed <= shape.readers + shape.alone
    assert load.writes.failed <= shape.writers
    assert load.reads.ok > 100
