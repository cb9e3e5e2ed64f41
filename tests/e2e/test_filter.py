"""The Rust filter inside a real Envoy, in front of small gRPC servers."""

from __future__ import annotations

import contextlib
import json
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent import futures
from pathlib import Path
from typing import Any, Self

import grpc
import pytest

from kiteway import filter as kiteway_filter
from kiteway.envoy.binary import find_envoy

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(kiteway_filter.filter_path() is None, reason=kiteway_filter.missing_reason()),
]

SERVICE = "/milvus.proto.milvus.MilvusService"
OK_RESULT = b"\x0a\x00"  # SearchResults{status: {}}
START_DEADLINE = 20.0


class Backend(grpc.GenericRpcHandler):
    """A gRPC server that answers every unary call with `answer` and counts the calls."""

    def __init__(self, answer: bytes) -> None:
        self.answer = answer
        self.calls = 0
        self._server = grpc.server(futures.ThreadPoolExecutor(max_workers=2))
        self._server.add_generic_rpc_handlers([self])
        self.port = self._server.add_insecure_port("127.0.0.1:0")

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes]:
        """Accept any method."""
        return grpc.unary_unary_rpc_method_handler(self._respond)

    def _respond(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        self.calls += 1
        return self.answer

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._server.stop(grace=None).wait()


class Envoy:
    """A running Envoy with one listener."""

    def __init__(self, process: subprocess.Popen[bytes], admin: str) -> None:
        self.process = process
        self.admin = admin
        [listener] = self.get("/listeners?format=json")["listener_statuses"]
        self.port: int = listener["local_address"]["socket_address"]["port_value"]

    def get(self, path: str) -> Any:
        """Return a JSON document of the admin API."""
        with urllib.request.urlopen(f"http://{self.admin}{path}", timeout=5) as response:
            return json.load(response)

    def counters(self, prefix: str) -> dict[str, int]:
        """Return the counters whose name starts with `prefix`, without it."""
        stats = self.get("/stats?format=json&usedonly")["stats"]
        return {
            stat["name"].removeprefix(prefix): stat["value"]
            for stat in stats
            if stat.get("name", "").startswith(prefix)
        }

    def call(self, method: str, request: bytes = b"") -> bytes:
        """Make one unary gRPC call through this Envoy, on a connection of its own."""
        with grpc.insecure_channel(f"127.0.0.1:{self.port}") as channel:
            stub: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(method)
            return stub(request, timeout=10)


def filter_entry(mode: str) -> dict[str, Any]:
    """Return the filter as an entry of a chain of HTTP filters."""
    package = "type.googleapis.com/envoy.extensions.filters.http.dynamic_modules.v3"
    return {
        "name": "kiteway",
        "typed_config": {
            "@type": f"{package}.DynamicModuleFilter",
            "filter_name": "kiteway",
            "dynamic_module_config": {
                "metrics_namespace": "kiteway",
                "module": {"local": {"filename": str(kiteway_filter.filter_path())}},
            },
            "filter_config": {
                "@type": "type.googleapis.com/google.protobuf.StringValue",
                "value": json.dumps({"mode": mode}),
            },
        },
    }


def bootstrap(ports: list[int], mode: str = "downstream") -> dict[str, Any]:
    """Return an Envoy configuration: one listener, the filter, one cluster of `ports`."""
    filters = "type.googleapis.com/envoy.extensions.filters"
    local = {"socket_address": {"address": "127.0.0.1", "port_value": 0}}
    endpoints = [
        {"endpoint": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": port}}}} for port in ports
    ]
    manager = {
        "@type": f"{filters}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "test",
        "route_config": {
            "virtual_hosts": [
                {
                    "name": "all",
                    "domains": ["*"],
                    "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "milvus"}}],
                }
            ]
        },
        "http_filters": [
            filter_entry(mode),
            {"name": "router", "typed_config": {"@type": f"{filters}.http.router.v3.Router"}},
        ],
    }
    cluster = {
        "name": "milvus",
        "load_assignment": {"cluster_name": "milvus", "endpoints": [{"lb_endpoints": endpoints}]},
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": {"http2_protocol_options": {}},
            }
        },
    }
    return {
        "node": {"id": "test", "cluster": "test"},
        "admin": {"address": local},
        "static_resources": {
            "listeners": [
                {
                    "name": "in",
                    "address": local,
                    "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
                }
            ],
            "clusters": [cluster],
        },
    }


def write(directory: Path, config: dict[str, Any]) -> Path:
    """Write a configuration (JSON is YAML) and return its path."""
    path = directory / "envoy.yaml"
    path.write_text(json.dumps(config))
    return path


@contextlib.contextmanager
def running_envoy(directory: Path, config: dict[str, Any]) -> Iterator[Envoy]:
    """Run Envoy until the block ends; its log is shown if it does not come up."""
    admin = directory / "admin"
    log = directory / "envoy.log"
    command = [str(find_envoy()), "-c", str(write(directory, config)), "--disable-hot-restart"]
    command += ["--concurrency", "1", "-l", "warn", "--admin-address-path", str(admin)]
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        end = time.monotonic() + START_DEADLINE
        while not _is_live(admin):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < end, f"not live in {START_DEADLINE} s: {log.read_text()}"
            time.sleep(0.02)
        yield Envoy(process, admin.read_text())
    finally:
        process.terminate()
        process.wait(timeout=10)


def _is_live(admin: Path) -> bool:
    try:
        with urllib.request.urlopen(f"http://{admin.read_text()}/ready", timeout=5) as response:
            return bool(response.status == 200)
    except (OSError, ValueError):
        return False


def validate(path: Path) -> subprocess.CompletedProcess[str]:
    """Run ``envoy --mode validate`` on a configuration."""
    command = [str(find_envoy()), "--mode", "validate", "-l", "error", "-c", str(path)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_envoy_validates_a_listener_with_the_filter(tmp_path: Path) -> None:
    """``envoy --mode validate`` loads the module and accepts its configuration."""
    result = validate(write(tmp_path, bootstrap([1])))

    assert result.returncode == 0, result.stderr


def test_envoy_rejects_a_configuration_the_filter_does_not_know(tmp_path: Path) -> None:
    """A wrong mode fails at validation, and the log says which value is wrong."""
    result = validate(write(tmp_path, bootstrap([1], mode="sideways")))

    assert result.returncode != 0
    assert 'kiteway filter: filter_config: mode is "sideways"' in result.stderr


def test_calls_are_counted_by_rpc(tmp_path: Path) -> None:
    """Each call counts once under its rpc; unknown gRPC is `other`, plain HTTP is `rest`."""
    with Backend(OK_RESULT) as backend, running_envoy(tmp_path, bootstrap([backend.port])) as envoy:
        for method in ["Search", "Search", "Query", "Insert", "NoSuchCall"]:
            assert envoy.call(f"{SERVICE}/{method}") == OK_RESULT
        envoy.call("/grpc.health.v1.Health/Check")
        # The gRPC server has no answer for plain HTTP; the call is counted before it goes there.
        with contextlib.suppress(urllib.error.HTTPError):
            urllib.request.urlopen(f"http://127.0.0.1:{envoy.port}/v2/vectordb", timeout=10).close()

        assert envoy.counters("kiteway.requests_total.rpc.") == {
            "Search": 2,
            "Query": 1,
            "Insert": 1,
            "other": 2,
            "rest": 1,
        }
