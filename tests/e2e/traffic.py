"""
Helpers of the traffic tests: a real Envoy that runs the output of `kiteway.envoy.xds` for a model, and small servers.

The model is built here, so the tests do not depend on the translation of manifests.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.server
import re
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping
from concurrent import futures
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, TypeVar

import grpc
from google.protobuf.message import Message

from kiteway.diagnostics import ObjectRef
from kiteway.envoy.admin import AdminClient, AdminError
from kiteway.envoy.ads import AdsServer, Snapshot
from kiteway.envoy.binary import find_envoy
from kiteway.envoy.bootstrap import OverloadLimits, bootstrap
from kiteway.envoy.clusters import ClusterStatus
from kiteway.envoy.settings import EnvoySettings
from kiteway.envoy.xds.build import build, build_endpoints
from kiteway.filter import filter_path
from kiteway.instance import Instance
from kiteway.model import (
    NO_POLICY,
    BackendProtocol,
    Endpoint,
    HealthCheck,
    HTTPMode,
    LoadBalancer,
    PathMatch,
    PathMatchType,
    Policy,
    Pool,
    PoolKey,
    Route,
    VirtualHost,
)
from kiteway.supervisor import envoy_child

T = TypeVar("T")

SERVICE = "/milvus.proto.milvus.MilvusService"
SEARCH = f"{SERVICE}/Search"
INSERT = f"{SERVICE}/Insert"
OK_RESULT = b"\x0a\x00"  # SearchResults{status: {}}
# SearchResults{status: {error_code: NotReadyServe, reason: "not ready", code: 1}}
NOT_READY_RESULT = b"\x0a\x0f\x08\x38\x12\x09not ready\x18\x01"
# The same of a proxy that has not served anything yet: it refuses a call before it looks at it.
STARTING_RESULT = b"\x0a\x2e\x08\x38\x12\x28service not ready[proxy=7]: Initializing\x18\x01"
UNLIMITED = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
KEY = PoolKey("default", "my-release-milvus", 19530)
DEADLINE = 30.0
INGRESS = ObjectRef("Ingress", "default", "my-release-milvus")
BACKEND = ObjectRef("Service", "default", "my-release-milvus")


def pool(**changes: Any) -> Pool:
    """Return a plaintext pool without a health check, with ``changes``."""
    values: dict[str, Any] = {
        "key": KEY,
        "protocol": BackendProtocol.HTTP,
        "health_check": None,
        "source": BACKEND,
    }
    return Pool(**(values | changes))


def health_check(**changes: Any) -> HealthCheck:
    """Return a check of ``/healthz`` every second."""
    values: dict[str, Any] = {"request_path": "/healthz", "interval": 1, "timeout": 1, "unhealthy_threshold": 1}
    return HealthCheck(**(values | changes))


def route(
    path: str = "/", *, key: PoolKey | None = KEY, log_sample_rate: float = 0.0, policy: Policy = NO_POLICY
) -> Route:
    """Return a route to a pool."""
    return Route(PathMatch(PathMatchType.PREFIX, path), key, INGRESS, log_sample_rate=log_sample_rate, policy=policy)


def host(domain: str = "*", *routes: Route) -> VirtualHost:
    """Return a host that is served in plaintext; by default everything goes to the pool."""
    return VirtualHost(domain, routes or (route(),), https=True, http=HTTPMode.SERVE, source=INGRESS)


def model(a_pool: Pool | None = None, *hosts: VirtualHost) -> LoadBalancer:
    """Return a load balancer with one pool, served in plaintext on every host name unless ``hosts`` say otherwise."""
    return LoadBalancer(hosts=hosts or (host(),), pools=(a_pool or pool(),))


@dataclass
class Call:
    """A call that reached a backend."""

    method: str
    metadata: dict[str, str]
    size: int


@dataclass
class Backend:
    """
    A Milvus proxy to the outside: a gRPC server that accepts every method, and ``/healthz`` on another port.

    Attributes:
        answer: what unary calls get: bytes, a status, or a function of the request that gives one of these.
        healthy: what the health check says.
        calls: what came, in order.
    """

    answer: bytes | grpc.StatusCode | Callable[[bytes, grpc.ServicerContext], bytes] = OK_RESULT
    healthy: bool = True
    max_request: int = -1
    calls: list[Call] = field(default_factory=list)
    checks: int = 0
    port: int = 0
    health_port: int = 0

    def endpoint(self, *, health: bool = True) -> Endpoint:
        """Return it as an endpoint."""
        return Endpoint("127.0.0.1", self.port, health_port=self.health_port if health else None)

    def count(self, method: str) -> int:
        """Return how often ``method`` (its last word) came."""
        return Counter(call.method for call in self.calls)[method]

    def __enter__(self) -> Self:
        self._serve()
        handler = type("Health", (_Health,), {"backend": self})
        self._health = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.health_port = self._health.server_address[1]
        self._thread = threading.Thread(target=self._health.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop_serving()
        self._health.shutdown()
        self._health.server_close()
        self._thread.join()

    def stop_serving(self) -> None:
        """Close the serving port at once; the health check goes on."""
        self._server.stop(grace=None).wait()

    def serve_again(self) -> None:
        """Open the same serving port again."""
        self._serve()

    def _serve(self) -> None:
        options = [
            ("grpc.max_receive_message_length", self.max_request),
            ("grpc.max_send_message_length", -1),
            ("grpc.so_reuseport", 0),
        ]
        self._server = grpc.server(futures.ThreadPoolExecutor(max_workers=64), options=options)
        self._server.add_generic_rpc_handlers([_Any(self)])
        self.port = self._server.add_insecure_port(f"127.0.0.1:{self.port}")
        self._server.start()


class _Any(grpc.GenericRpcHandler):
    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes]:
        method = details.method.rpartition("/")[2]
        metadata = {key: str(value) for key, value in details.invocation_metadata}

        def respond(request: bytes, context: grpc.ServicerContext) -> bytes:
            self._backend.calls.append(Call(method, metadata, len(request)))
            answer = self._backend.answer
            if callable(answer):
                return answer(request, context)
            if isinstance(answer, grpc.StatusCode):
                context.abort(answer, "refused")
            return answer

        return grpc.unary_unary_rpc_method_handler(respond)


class _Health(http.server.BaseHTTPRequestHandler):
    backend: Backend

    def do_GET(self) -> None:
        """Answer as Milvus does on 9091."""
        self.backend.checks += 1
        self.send_response(200 if self.backend.healthy else 500)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name in the base class
        """Say nothing."""


class Proxy:
    """
    A running Envoy with the production bootstrap, configured over ADS.

    Attributes:
        settings: the ports it listens on.
    """

    def __init__(self, instance: Instance, settings: EnvoySettings, process: subprocess.Popen[bytes]) -> None:
        self.settings = settings
        self.process = process
        self.instance = instance
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._ads = AdsServer(instance.ads_socket)
        self._admin = AdminClient(instance.admin_socket)
        self._wait(self._ads.start())

    @property
    def port(self) -> int:
        """The plaintext port."""
        assert self.settings.http_port is not None
        return self.settings.http_port

    def apply(
        self,
        load_balancer: LoadBalancer,
        endpoints: Mapping[PoolKey, Iterable[Endpoint]] | Iterable[Endpoint],
        change: Callable[[list[Message]], None] = lambda _messages: None,
    ) -> None:
        """Publish a model, after ``change`` of its messages, and wait until Envoy runs it."""
        table = endpoints if isinstance(endpoints, Mapping) else {KEY: endpoints}
        messages = build(load_balancer, self.settings)
        messages += build_endpoints(load_balancer.pools, {key: tuple(sorted(of)) for key, of in table.items()})
        change(messages)
        snapshot = Snapshot.of(messages)
        self.publish(snapshot)

        def active() -> bool:
            state = self._ads.state
            assert not state.rejections, [str(r.rejection) for r in state.rejections]
            return bool(state.streams) and all(s.converged for s in state.streams) and self.ready()

        eventually(active, "Envoy runs the configuration")

    def ready(self) -> bool:
        """Tell whether Envoy is there and runs a configuration."""
        try:
            return self._wait(self._admin.ready())
        except AdminError:
            return False

    def rejected(self) -> set[str]:
        """Return the types of which Envoy has rejected anything."""
        return {found.rejection.type_url for found in self._ads.state.rejections}

    def publish(self, snapshot: Snapshot) -> None:
        """Publish what Envoy shall run; return before it does."""
        self._wait(self._ads.publish(snapshot))

    def channel(self, authority: str | None = None, port: int | None = None) -> grpc.Channel:
        """Return a new plaintext channel, with client retries off."""
        options: list[tuple[str, Any]] = [*UNLIMITED, ("grpc.enable_retries", 0)]
        options += [("grpc.use_local_subchannel_pool", 1)]
        if authority is not None:
            options.append(("grpc.default_authority", authority))
        return grpc.insecure_channel(f"127.0.0.1:{port or self.port}", options=options)

    def stats(self, pattern: str) -> dict[str, int]:
        """Return Envoy's counters and gauges by name."""
        return self._wait(self._admin.stats(pattern))

    def stat(self, name: str) -> int:
        """Return the sum of the counters that end with ``name``."""
        return sum(self.stats(re.escape(name) + "$").values())

    def cluster(self, kind: str = "grpc") -> ClusterStatus:
        """Return the cluster of the one pool."""
        return self._wait(self._admin.clusters())[f"pool/{KEY}/{kind}"]

    def failing(self, kind: str = "grpc") -> dict[int, frozenset[str]]:
        """Return why endpoints get no traffic, by port; the healthy are left out."""
        return {
            int(endpoint.address.rpartition(":")[2]): endpoint.failures
            for endpoint in self.cluster(kind).endpoints
            if endpoint.failures
        }

    def reopen_logs(self) -> None:
        """Let Envoy write what it holds back of its access log."""
        self._wait(self._admin.reopen_logs())

    def resident(self) -> int:
        """Return the bytes of memory Envoy holds."""
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        found = re.search(r"VmRSS:\s+(\d+) kB", text)
        assert found is not None
        return int(found[1]) * 1024

    def close(self) -> None:
        """End Envoy and its control plane."""
        self.process.terminate()
        self.process.wait(timeout=10)
        self._wait(self._admin.__aexit__())
        self._wait(self._ads.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=DEADLINE)


@contextlib.contextmanager
def running(
    directory: Path, free_port: Callable[[], int], *, max_connections: int = 5000, **settings: Any
) -> Iterator[Proxy]:
    """Run Envoy until the block ends; ``settings`` are those of `EnvoySettings`."""
    chosen: dict[str, Any] = {"https_port": free_port(), "http_port": free_port(), "filter_path": filter_path()}
    instance = Instance(directory)
    limits = OverloadLimits(max_heap_bytes=512 << 20, max_connections=max_connections)
    with contextlib.ExitStack() as stack:
        stack.enter_context(instance.acquire())
        spec = envoy_child(
            find_envoy(), instance, bootstrap(instance, node_id="test", limits=limits), concurrency=1, log_level="warn"
        )
        log = stack.enter_context((directory / "envoy.log").open("wb"))
        process = subprocess.Popen(spec.argv, env=dict(spec.env), stdout=log, stderr=log)
        proxy = Proxy(instance, EnvoySettings(**(chosen | settings)), process)
        stack.callback(proxy.close)
        yield proxy


def call(channel: grpc.Channel, method: str = SEARCH, request: bytes = b"", **options: Any) -> bytes:
    """Make a unary call; ``options`` are `timeout` (10 s) and `metadata`."""
    stub: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(method)
    return stub(request, **({"timeout": 10.0} | options))


def failure(channel: grpc.Channel, method: str = SEARCH, request: bytes = b"", **options: Any) -> grpc.RpcError:
    """Return the error of a unary call that must fail."""
    try:
        answer = call(channel, method, request, **options)
    except grpc.RpcError as error:
        return error
    raise AssertionError(f"{method} was answered: {answer[:100]!r}")


def eventually(condition: Callable[[], object], what: str, seconds: float = DEADLINE) -> None:
    """Wait until ``condition`` holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds:g} s: {what}"
        time.sleep(0.02)
