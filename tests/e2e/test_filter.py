"""The Rust filter inside a real Envoy, in front of small gRPC servers."""

from __future__ import annotations

import contextlib
import http.client
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
# SearchResults{status: {error_code: NotReadyServe, reason: "not ready", code: 1}}
NOT_READY_RESULT = b"\x0a\x0f\x08\x38\x12\x09not ready\x18\x01"
RATE_LIMIT_RESULT = b"\x0a\x04\x08\x31\x18\x08"  # SearchResults{status: {error_code: RateLimit, code: 8}}
UNLIMITED = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
START_DEADLINE = 20.0


class Backend(grpc.GenericRpcHandler):
    """A gRPC server that gives every unary call the same answer, or the same error, and counts the calls."""

    def __init__(self, answer: bytes | grpc.StatusCode, *, headers_first: bool = False) -> None:
        self.answer = answer
        self.headers_first = headers_first
        self.calls = 0
        self._server = grpc.server(futures.ThreadPoolExecutor(max_workers=2), options=UNLIMITED)
        self._server.add_generic_rpc_handlers([self])
        self.port = self._server.add_insecure_port("127.0.0.1:0")

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes]:
        """Accept any method."""
        return grpc.unary_unary_rpc_method_handler(self._respond)

    def _respond(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        self.calls += 1
        if self.headers_first:
            context.send_initial_metadata(())
        if isinstance(self.answer, grpc.StatusCode):
            context.abort(self.answer, "refused")
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

    def ejected(self) -> set[int]:
        """Return the ports of the endpoints that outlier detection has ejected."""
        [cluster] = self.get("/clusters?format=json")["cluster_statuses"]
        return {
            host["address"]["socket_address"]["port_value"]
            for host in cluster["host_statuses"]
            if host["health_status"].get("failed_outlier_check")
        }

    def channel(self) -> grpc.Channel:
        """Return a new channel to this Envoy."""
        return grpc.insecure_channel(f"127.0.0.1:{self.port}", options=UNLIMITED)

    def call(self, method: str, request: bytes = b"") -> bytes:
        """Make one unary gRPC call through this Envoy, on its own connection."""
        with self.channel() as channel:
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
                "do_not_close": True,
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
    retry = {
        "retry_on": "unavailable",
        "num_retries": 2,
        "retry_host_predicate": [
            {
                "name": "previous_hosts",
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"
                },
            }
        ],
        "host_selection_retry_max_attempts": 5,
    }
    routes = [
        {
            "match": {"path": f"{SERVICE}/Insert"},
            "route": {"cluster": "milvus"},
            "typed_per_filter_config": {
                "kiteway": {"@type": "type.googleapis.com/envoy.config.route.v3.FilterConfig", "config": {}}
            },
        },
        {"match": {"prefix": "/"}, "route": {"cluster": "milvus", "retry_policy": retry}},
    ]
    manager = {
        "@type": f"{filters}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "test",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}]},
        "http_filters": [
            {**filter_entry(mode), "disabled": True},
            {"name": "router", "typed_config": {"@type": f"{filters}.http.router.v3.Router"}},
        ],
    }
    cluster = {
        "name": "milvus",
        "load_assignment": {"cluster_name": "milvus", "endpoints": [{"lb_endpoints": endpoints}]},
        "outlier_detection": {
            "consecutive_5xx": 1,
            "base_ejection_time": "600s",
            "max_ejection_percent": 100,
        },
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": {"http2_protocol_options": {}},
                "http_filters": [
                    filter_entry("upstream"),
                    {
                        "name": "upstream_codec",
                        "typed_config": {"@type": f"{filters}.http.upstream_codec.v3.UpstreamCodec"},
                    },
                ],
            }
        },
    }
    return {
        "node": {"id": "test", "cluster": "test"},
        "admin": {"address": local},
        # As Kiteway's own; else a histogram is up to 5 s old.
        "stats_flush_on_admin": True,
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
def running_envoy(directory: Path, config: dict[str, Any], *, workers: int = 1) -> Iterator[Envoy]:
    """Run Envoy until the block ends; its log is shown if it does not come up."""
    admin = directory / "admin"
    log = directory / "envoy.log"
    command = [str(find_envoy()), "-c", str(write(directory, config)), "--disable-hot-restart"]
    command += ["--concurrency", str(workers), "-l", "warn", "--admin-address-path", str(admin)]
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
    """Envoy's validation fails for a wrong mode, and the log says which value is wrong."""
    result = validate(write(tmp_path, bootstrap([1], mode="sideways")))

    assert result.returncode != 0
    assert 'kiteway filter: filter_config: mode is "sideways"' in result.stderr


def test_calls_are_counted_by_rpc(tmp_path: Path) -> None:
    """Each call counts once under its rpc, gRPC's health checks too; an unknown gRPC call counts as `other`."""
    with Backend(OK_RESULT) as backend, running_envoy(tmp_path, bootstrap([backend.port])) as envoy:
        for method in ["Search", "Search", "Query", "Insert", "DropCollection", "NoSuchCall"]:
            assert envoy.call(f"{SERVICE}/{method}") == OK_RESULT
        envoy.call("/grpc.health.v1.Health/Check")

        assert envoy.counters("cluster.milvus.kiteway.requests_total.rpc.") == {
            "Search": 2,
            "Query": 1,
            "Insert": 1,
            "DropCollection": 1,
            "Check": 1,
            "other": 1,
        }
        assert envoy.counters("cluster.milvus.kiteway.responses_total.status.") == {"OK": 7}


def test_an_endpoint_that_is_not_ready_is_retried_elsewhere_and_ejected(tmp_path: Path) -> None:
    """
    An in-band "not ready" never reaches the client of a read while another endpoint can serve it. The first
    such answer is the last call that its endpoint gets.
    """
    with (
        Backend(NOT_READY_RESULT) as bad,
        Backend(OK_RESULT) as good,
        running_envoy(tmp_path, bootstrap([bad.port, good.port])) as envoy,
    ):
        for _ in range(10):
            assert envoy.call(f"{SERVICE}/Search") == OK_RESULT

        assert envoy.ejected() == {bad.port}
        assert (bad.calls, good.calls) == (1, 10)
        assert envoy.counters("cluster.milvus.kiteway.not_ready_total.rpc.") == {"Search": 1}


def test_when_no_endpoint_is_ready_a_read_is_unavailable(tmp_path: Path) -> None:
    """
    If no endpoint is left for a retry, the client of a read gets UNAVAILABLE once and no message; calls still
    go through.
    """
    with (
        Backend(NOT_READY_RESULT) as one,
        Backend(NOT_READY_RESULT) as two,
        running_envoy(tmp_path, bootstrap([one.port, two.port])) as envoy,
    ):
        for _ in range(5):
            with pytest.raises(grpc.RpcError) as caught:
                envoy.call(f"{SERVICE}/Search")
            assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
            assert (
                caught.value.details() == "kiteway: no endpoint that was asked is ready; nothing was done. Try again."
            )

        assert one.calls > 0
        assert two.calls > 0


def test_the_client_sees_nothing_of_what_the_router_was_told(tmp_path: Path) -> None:
    """The headers of an answer that may not be repeated have neither the mark nor a gRPC status before the trailers."""
    with (
        Backend(NOT_READY_RESULT) as bad,
        running_envoy(tmp_path, bootstrap([bad.port])) as envoy,
    ):
        # Over HTTP/1.1, because a gRPC library does not show every header it gets.
        connection = http.client.HTTPConnection("127.0.0.1", envoy.port, timeout=10)
        headers = {"content-type": "application/grpc", "te": "trailers"}
        with contextlib.closing(connection):
            connection.request("POST", f"{SERVICE}/Insert", body=bytes(5), headers=headers)
            response = connection.getresponse()

            assert response.read() == len(NOT_READY_RESULT).to_bytes(5, "big") + NOT_READY_RESULT
            assert {"grpc-status", "kiteway-in-band"}.isdisjoint(response.headers)
            assert response.headers["content-type"] == "application/grpc"
        assert envoy.counters("cluster.milvus.kiteway.not_ready_total.rpc.") == {"Insert": 1}


def test_a_write_is_sent_once_and_its_endpoint_is_ejected_all_the_same(tmp_path: Path) -> None:
    """
    A write to an endpoint that is not ready is not retried; the client gets Milvus's answer, and the endpoint
    is ejected.
    """
    with (
        Backend(NOT_READY_RESULT) as bad,
        running_envoy(tmp_path, bootstrap([bad.port])) as envoy,
    ):
        assert envoy.call(f"{SERVICE}/Insert") == NOT_READY_RESULT

        assert bad.calls == 1
        assert envoy.ejected() == {bad.port}


def test_errors_that_are_not_the_endpoints_pass_unchanged(tmp_path: Path) -> None:
    """An in-band rate limit causes no ejection and no retry, and reaches the client unchanged."""
    with (
        Backend(RATE_LIMIT_RESULT) as one,
        Backend(RATE_LIMIT_RESULT) as two,
        running_envoy(tmp_path, bootstrap([one.port, two.port])) as envoy,
    ):
        assert envoy.call(f"{SERVICE}/Search") == RATE_LIMIT_RESULT

        assert one.calls + two.calls == 1
        assert envoy.ejected() == set()


@pytest.mark.parametrize("headers_first", [False, True], ids=["trailers-only", "headers-then-trailers"])
def test_a_grpc_error_passes_unchanged(tmp_path: Path, *, headers_first: bool) -> None:
    """A response without a message reaches the client with the server's status and text."""
    with (
        Backend(grpc.StatusCode.FAILED_PRECONDITION, headers_first=headers_first) as backend,
        running_envoy(tmp_path, bootstrap([backend.port])) as envoy,
    ):
        with pytest.raises(grpc.RpcError) as caught:
            envoy.call(f"{SERVICE}/Search")

        assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION
        assert caught.value.details() == "refused"


def test_a_large_answer_streams_through(tmp_path: Path) -> None:
    """An answer far beyond Envoy's buffers (1 MiB) arrives byte for byte: it is never held as a whole."""
    answer = OK_RESULT + b"\x12\x80\x80\x80\x08" + bytes(range(256)) * (64 * 1024)  # results: 16 MiB
    with (
        Backend(answer) as backend,
        running_envoy(tmp_path, bootstrap([backend.port])) as envoy,
    ):
        assert envoy.call(f"{SERVICE}/Search") == answer
