"""Limits and fair admission in a real Envoy with two workers, in front of small gRPC and HTTP servers."""

from __future__ import annotations

import base64
import contextlib
import http.client
import http.server
import json
import random
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent import futures
from pathlib import Path
from typing import Any, Self

import grpc
import pytest
from pymilvus.grpc_gen import milvus_pb2

from kiteway import filter as kiteway_filter
from tests.e2e.test_filter import SERVICE, UNLIMITED, Envoy, bootstrap, running_envoy

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(kiteway_filter.filter_path() is None, reason=kiteway_filter.missing_reason()),
]

RATE_LIMIT = 8
OWN_SUBCHANNEL = [*UNLIMITED, ("grpc.use_local_subchannel_pool", 1)]


class Milvus(grpc.GenericRpcHandler):
    """A gRPC server that answers Search once `open` is set, and everything else at once; it counts the calls by user."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.open.set()
        self.calls: Counter[str] = Counter()
        self.sizes: list[int] = []
        self._server = grpc.server(futures.ThreadPoolExecutor(max_workers=64), options=UNLIMITED)
        self._server.add_generic_rpc_handlers([self])
        self.port = self._server.add_insecure_port("127.0.0.1:0")

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes]:
        """Accept any method."""
        metadata = dict(details.invocation_metadata)

        def respond(request: bytes, context: grpc.ServicerContext) -> bytes:
            user = base64.b64decode(metadata.get("authorization", b"")).decode().partition(":")[0]
            self.calls[user] += 1
            self.sizes.append(len(request))
            if user == "stranger":
                context.abort(grpc.StatusCode.UNAUTHENTICATED, "auth check failure")
            if details.method.endswith("/Search"):
                while not self.open.wait(0.1) and context.is_active():
                    pass
            return b"\x0a\x00"

        return grpc.unary_unary_rpc_method_handler(respond)

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.open.set()
        self._server.stop(grace=None).wait()


class Client:
    """A client of one user, with a connection of its own."""

    def __init__(self, envoy: Envoy, user: str) -> None:
        self._channel = grpc.insecure_channel(f"127.0.0.1:{envoy.port}", options=OWN_SUBCHANNEL)
        credentials = base64.b64encode(f"{user}:secret".encode()).decode()
        self._metadata: tuple[tuple[str, str | bytes], ...] = (("authorization", credentials),)

    def start(self, method: str = "Search", request: bytes | None = None, timeout: float = 30) -> grpc.Future[bytes]:
        """Begin a call."""
        call: grpc.UnaryUnaryMultiCallable[bytes, bytes] = self._channel.unary_unary(f"{SERVICE}/{method}")
        return call.future(question() if request is None else request, timeout=timeout, metadata=self._metadata)

    def call(self, method: str = "Search", request: bytes | None = None) -> milvus_pb2.SearchResults:
        """Make a call and return its answer."""
        results: milvus_pb2.SearchResults = milvus_pb2.SearchResults.FromString(self.start(method, request).result())
        return results

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._channel.close()


def question(collection: str = "books", vectors: bytes = b"") -> bytes:
    """Return a SearchRequest."""
    request = milvus_pb2.SearchRequest(collection_name=collection, nq=1, placeholder_group=vectors)
    return bytes(request.SerializeToString())


def limited(milvus: int, policy: dict[str, Any], directory: Path) -> dict[str, Any]:
    """Return the configuration of an Envoy whose routes have `policy`; they come from a file that can be replaced."""
    config = bootstrap([milvus])
    [listener] = config["static_resources"]["listeners"]
    [chain] = listener["filter_chains"]
    manager = chain["filters"][0]["typed_config"]
    del manager["route_config"]
    routes = directory / "routes.json"
    write_routes(routes, policy)
    source = {"path_config_source": {"path": str(routes)}, "resource_api_version": "V3"}
    manager["rds"] = {"route_config_name": "routes", "config_source": source}
    return config


def write_routes(path: Path, policy: dict[str, Any], version: str = "1") -> None:
    """Put routes with `policy` into the file that Envoy watches."""
    per_route = {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.dynamic_modules.v3.DynamicModuleFilterPerRoute",
        "filter_name": "kiteway",
        "dynamic_module_config": {
            # Envoy 1.38 loads what a route names by this, below ENVOY_DYNAMIC_MODULES_SEARCH_PATH.
            "name": "kiteway_filter",
            "metrics_namespace": "kiteway",
            "do_not_close": True,
            "module": {"local": {"filename": str(kiteway_filter.filter_path())}},
        },
        "filter_config": {
            "@type": "type.googleapis.com/google.protobuf.StringValue",
            "value": json.dumps({"policy": policy}),
        },
    }
    routes = {
        "@type": "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
        "name": "routes",
        "virtual_hosts": [
            {
                "name": "all",
                "domains": ["*"],
                "routes": [
                    {
                        "match": {"prefix": "/"},
                        "route": {"cluster": "milvus", "max_stream_duration": {"grpc_timeout_header_max": "0s"}},
                        "typed_per_filter_config": {"kiteway": per_route},
                    }
                ],
            }
        ],
    }
    new = path.with_suffix(".new")
    new.write_text(json.dumps({"version_info": version, "resources": [routes]}))
    new.replace(path)


@contextlib.contextmanager
def behind(milvus: Milvus, policy: dict[str, Any], directory: Path) -> Iterator[Envoy]:
    """Run an Envoy with two workers in front of `milvus`."""
    with running_envoy(directory, limited(milvus.port, policy, directory), workers=2) as envoy:
        yield envoy


def admission(**changes: Any) -> dict[str, Any]:
    """Return a policy that lets one read in at a time."""
    return {"admission": {"scope": "pool", "reads": 1, "waitMs": 20_000, "queuedBytes": 1 << 20} | changes}


def statistic(envoy: Envoy, suffix: str) -> int:
    """Return the sum of Kiteway's counters or gauges whose name ends with `suffix`."""
    stats = envoy.get("/stats?format=json&usedonly")["stats"]
    return sum(stat["value"] for stat in stats if stat.get("name", "").endswith(f"kiteway.{suffix}"))


def until(condition: Callable[[], object], seconds: float = 20) -> None:
    """Wait until `condition` is true."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "the condition has not become true"
        time.sleep(0.01)


def test_a_limit_holds_within_five_percent_and_only_for_its_user(tmp_path: Path) -> None:
    """Of 20 clients of one user exactly the limit's rate passes; another user is not disturbed; Milvus sees no more."""
    policy = {"scope": "policy", "limits": [{"by": ["user"], "requestsPerSecond": 100}]}
    with Milvus() as milvus, behind(milvus, policy, tmp_path) as envoy, contextlib.ExitStack() as clients:
        codes: dict[str, Counter[int]] = {"over": Counter(), "under": Counter()}
        end = threading.Event()

        def run(user: str, pause: float) -> None:
            client = clients.enter_context(Client(envoy, user))
            while not end.wait(pause):
                codes[user][client.call().status.code] += 1

        threads = [threading.Thread(target=run, args=("over", 0.01)) for _ in range(20)]
        threads.append(threading.Thread(target=run, args=("under", 0.05)))
        for thread in threads:
            thread.start()
        until(lambda: codes["over"][RATE_LIMIT] > 20)
        began, before = time.monotonic(), codes["over"][0]
        time.sleep(8)
        passed, elapsed = codes["over"][0] - before, time.monotonic() - began
        end.set()
        for thread in threads:
            thread.join()

        assert passed == pytest.approx(100 * elapsed, rel=0.05)
        assert codes["over"][RATE_LIMIT] > passed / 10
        assert set(codes["under"]) == {0}
        assert milvus.calls == {"over": codes["over"][0], "under": codes["under"][0]}
        assert statistic(envoy, "refused_total.reason.requests") == codes["over"][RATE_LIMIT]


def test_a_refusal_says_who_refused_and_why(tmp_path: Path) -> None:
    """The message has the code on which PyMilvus backs off, and a sentence; Milvus does not see the call."""
    policy = {"scope": "policy", "limits": [{"by": ["user", "collection"], "requestsPerSecond": 1e-3, "burstMs": 0}]}
    with Milvus() as milvus, behind(milvus, policy, tmp_path) as envoy, Client(envoy, "a") as client:
        assert client.call().status.code == 0

        status = client.call().status

        assert (status.code, status.error_code, status.retriable) == (RATE_LIMIT, 49, True)
        assert status.reason == (
            "kiteway: rate limit exceeded: requests per second of this user and collection. Try again later."
        )
        assert client.call(request=question("other")).status.code == 0
        # The message of this rpc is the status itself.
        assert client.call("DropCollection", question("third")).status.code == 0
        again = client.start("DropCollection", question("third")).result()
        assert milvus_pb2.common__pb2.Status.FromString(again).code == RATE_LIMIT
        assert milvus.calls == {"a": 3}


def test_a_read_waits_for_its_turn(tmp_path: Path) -> None:
    """With one place the second read waits, then is answered; the queue is a metric; a write does not wait for it."""
    with Milvus() as milvus, behind(milvus, admission(), tmp_path) as envoy, Client(envoy, "a") as client:
        milvus.open.clear()
        first = client.start()
        until(lambda: milvus.calls["a"] == 1)
        second = client.start()
        until(lambda: statistic(envoy, "queued.pool.pool") == 1)
        assert client.call("Insert").status.code == 0
        assert milvus.calls["a"] == 2

        milvus.open.set()

        assert (first.result(), second.result()) == (b"\x0a\x00",) * 2
        assert milvus.calls["a"] == 3
        until(lambda: statistic(envoy, "queued.pool.pool") == 0)


def test_reads_of_many_connections_are_one_at_a_time(tmp_path: Path) -> None:
    """Both workers share the places: of 30 clients' reads never two are at Milvus, and all are answered."""
    with Milvus() as milvus, behind(milvus, admission(queuedBytes=1 << 30), tmp_path) as envoy:
        milvus.open.clear()
        with contextlib.ExitStack() as stack:
            clients = [stack.enter_context(Client(envoy, f"user{number % 3}")) for number in range(30)]
            calls = [client.start() for client in clients]
            until(lambda: statistic(envoy, "queued.pool.pool") == 29)
            assert sum(milvus.calls.values()) == 1

            milvus.open.set()

            assert {call.result() for call in calls} == {b"\x0a\x00"}
        assert sum(milvus.calls.values()) == 30


def test_a_wait_ends(tmp_path: Path) -> None:
    """A read that has waited as long as it may is refused, and never reaches Milvus."""
    policy = admission(waitMs=300)
    with Milvus() as milvus, behind(milvus, policy, tmp_path) as envoy, Client(envoy, "a") as client:
        milvus.open.clear()
        first = client.start()
        until(lambda: milvus.calls["a"] == 1)
        began = time.monotonic()

        status = client.call().status

        assert time.monotonic() - began >= 0.3
        assert status.code == RATE_LIMIT
        assert "has waited as long as it may" in status.reason
        milvus.open.set()
        first.result()
        assert milvus.calls["a"] == 1


def test_a_client_that_gives_up_leaves_the_queue(tmp_path: Path) -> None:
    """A read that is cancelled, or whose deadline passes, while it waits never reaches Milvus and keeps no place."""
    with Milvus() as milvus, behind(milvus, admission(), tmp_path) as envoy, Client(envoy, "a") as client:
        milvus.open.clear()
        first = client.start()
        until(lambda: milvus.calls["a"] == 1)
        cancelled, late = client.start(), client.start(timeout=0.5)
        until(lambda: statistic(envoy, "queued.pool.pool") == 2)

        cancelled.cancel()

        # Whichever is first: the answer, or the client itself.
        error = late.exception()
        if error is None:
            assert milvus_pb2.SearchResults.FromString(late.result()).status.code == RATE_LIMIT
        else:
            assert isinstance(error, grpc.RpcError)
            assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        until(lambda: statistic(envoy, "queued.pool.pool") == 0)
        first.cancel()
        milvus.open.set()
        assert client.call().status.code == 0
        assert milvus.calls["a"] == 2


def test_large_requests_pass_whole(tmp_path: Path) -> None:
    """Requests far beyond what is read ahead (512 KiB) and Envoy's buffers (1 MiB) arrive whole, waiting or not."""
    sizes = [1, 100_000, 524_288, 600_000, 1_200_000, 8 << 20]
    policy = admission(queuedBytes=1 << 30, writes=1)
    with Milvus() as milvus, behind(milvus, policy, tmp_path) as envoy, Client(envoy, "a") as client:
        for size in sizes:
            assert client.call(request=question(vectors=bytes(size))).status.code == 0
        milvus.open.clear()
        first = client.start()
        until(lambda: len(milvus.sizes) == len(sizes) + 1)
        calls = [client.start(request=question(vectors=bytes(size))) for size in sizes]
        until(lambda: statistic(envoy, "queued.pool.pool") == len(sizes))
        milvus.open.set()
        first.result()
        assert {call.result() for call in calls} == {b"\x0a\x00"}

        expected = [len(question(vectors=bytes(size))) for size in sizes]
        assert milvus.sizes[: len(sizes)] == expected
        assert sorted(milvus.sizes[len(sizes) + 1 :]) == expected


def test_unauthenticated_calls_use_no_limit_of_others(tmp_path: Path) -> None:
    """A stranger's calls, which Milvus refuses, do not count for the collection that they name."""
    policy = {"scope": "policy", "limits": [{"by": ["collection"], "requestsPerSecond": 1e-3, "burstMs": 0}]}
    with Milvus() as milvus, behind(milvus, policy, tmp_path) as envoy, Client(envoy, "stranger") as stranger:
        for _ in range(5):
            with pytest.raises(grpc.RpcError) as caught:
                stranger.call()
            assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
        with Client(envoy, "a") as client:
            # The first call is one of a user that is not known yet, which is counted apart.
            assert client.call().status.code == 0
            assert client.call().status.code == 0
            assert client.call().status.code == RATE_LIMIT


def test_calls_cancelled_before_their_answer_use_no_limit_of_known_users(tmp_path: Path) -> None:
    """A client that Milvus has never answered cannot use up a collection's limit by cancelling its calls."""
    # Two calls.
    limit = {"by": ["collection"], "requestsPerSecond": 1e-3, "burstMs": 2_000_000}
    policy = {"scope": "policy", "limits": [limit]}
    with (
        Milvus() as milvus,
        behind(milvus, policy, tmp_path) as envoy,
        Client(envoy, "known") as known,
        Client(envoy, "unknown") as unknown,
    ):
        assert known.call().status.code == 0
        milvus.open.clear()
        cancelled = unknown.start()
        until(lambda: milvus.calls["unknown"] == 1)
        cancelled.cancel()
        milvus.open.set()
        assert unknown.call().status.code == RATE_LIMIT

        assert [known.call().status.code for _ in range(3)] == [0, 0, RATE_LIMIT]


def test_a_change_of_the_routes_keeps_the_counts(tmp_path: Path) -> None:
    """What is counted under a scope stays when the routes are replaced."""
    limit = {"by": ["user"], "requestsPerSecond": 1e-3, "burstMs": 0}
    policy = {"scope": "policy", "limits": [limit]}
    with Milvus() as milvus, behind(milvus, policy, tmp_path) as envoy, Client(envoy, "a") as client:
        assert client.call().status.code == 0

        write_routes(tmp_path / "routes.json", {**policy, "limits": [{**limit, "requestsPerSecond": 2e-3}]}, "2")
        until(lambda: statistic_of_routes(envoy) == "2")

        assert client.call().status.code == RATE_LIMIT
        assert milvus.calls == {"a": 1}


def test_waiting_and_refused_calls_are_on_the_page_of_metrics(tmp_path: Path) -> None:
    """Envoy's page for Prometheus has the metrics by their documented names, with labels."""
    policy = admission(waitMs=200)
    with Milvus() as milvus, behind(milvus, policy, tmp_path) as envoy, Client(envoy, "a") as client:
        milvus.open.clear()
        first = client.start()
        until(lambda: milvus.calls["a"] == 1)
        assert client.call().status.code == RATE_LIMIT
        second = client.start()
        until(lambda: statistic(envoy, "queued.pool.pool") == 1)
        milvus.open.set()
        first.result()
        second.result()

        def shown() -> set[str]:
            with urllib.request.urlopen(f"http://{envoy.admin}/stats/prometheus", timeout=5) as response:
                lines = response.read().decode().splitlines()
            return {line for line in lines if line.startswith("envoy_kiteway_")}

        until(lambda: 'envoy_kiteway_queue_time_count{pool="pool"} 1' in shown())
        assert shown() >= {'envoy_kiteway_refused_total{reason="waited"} 1', 'envoy_kiteway_queued{pool="pool"} 0'}


def statistic_of_routes(envoy: Envoy) -> str:
    """Return the version of the routes that Envoy uses."""
    dump = envoy.get("/config_dump?resource=dynamic_route_configs")
    return str(dump["configs"][0]["version_info"])


def test_a_rest_request_over_its_limit_gets_429(tmp_path: Path) -> None:
    """REST gets the status 429 with retry-after and Milvus's JSON, and Milvus does not get the request."""
    limit = {"by": ["user", "collection"], "requestsPerSecond": 0.1, "burstMs": 0}
    policy = {"scope": "policy", "limits": [limit]}
    config = limited(0, policy, tmp_path)
    with rest_server() as (port, requests):
        [cluster] = config["static_resources"]["clusters"]
        del cluster["typed_extension_protocol_options"]
        [endpoint] = cluster["load_assignment"]["endpoints"][0]["lb_endpoints"]
        endpoint["endpoint"]["address"]["socket_address"]["port_value"] = port
        with running_envoy(tmp_path, config, workers=2) as envoy:
            answers = []
            for collection in ("c", "c", "d"):
                connection = http.client.HTTPConnection("127.0.0.1", envoy.port, timeout=10)
                with contextlib.closing(connection):
                    headers = {"authorization": "Bearer a:secret", "content-type": "application/json"}
                    request = json.dumps({"collectionName": collection})
                    connection.request("POST", "/v2/vectordb/entities/search", request, headers)
                    response = connection.getresponse()
                    answers.append((response.status, response.headers["retry-after"], response.read()))

    assert answers[0] == answers[2] == (200, None, b'{"code":0}')
    status, retry_after, body = answers[1]
    assert (status, retry_after) == (429, "10")
    assert json.loads(body) == {
        "code": 1807,
        "message": "kiteway: rate limit exceeded: requests per second of this user and collection. Try again later.",
    }
    assert requests == [b'{"collectionName": "c"}', b'{"collectionName": "d"}']


@contextlib.contextmanager
def rest_server() -> Iterator[tuple[int, list[bytes]]]:
    """Run an HTTP server that answers as Milvus does, and collects the bodies of its requests."""
    requests: list[bytes] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            requests.append(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{"code":0}')

        def log_message(self, *arguments: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_address[1], requests
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_calls_that_are_cancelled_at_every_moment_leave_nothing_behind(tmp_path: Path) -> None:
    """After seconds of calls that are cancelled anywhere, every place is free and the queue is empty."""
    policy = {
        "scope": "policy",
        "limits": [{"by": ["user"], "inFlight": 6}],
        **admission(reads=2, waitMs=50, queuedBytes=100_000),
    }
    with Milvus() as milvus, behind(milvus, policy, tmp_path) as envoy:

        def run(seed: int) -> None:
            chance = random.Random(seed)
            end = time.monotonic() + 4
            with Client(envoy, f"user{seed % 2}") as client:
                while time.monotonic() < end:
                    call = client.start(request=question(vectors=bytes(chance.choice([1, 700_000]))))
                    if chance.random() < 0.7:
                        time.sleep(chance.random() / 100)
                        call.cancel()
                    else:
                        call.exception()

        threads = [threading.Thread(target=run, args=(seed,)) for seed in range(8)]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            milvus.open.clear()
            time.sleep(0.05)
            milvus.open.set()
            time.sleep(0.05)
        for thread in threads:
            thread.join()

        until(lambda: statistic(envoy, "queued.pool.pool") == 0)
        assert envoy.process.poll() is None
        with Client(envoy, "user0") as one, Client(envoy, "user1") as other:
            assert [one.call().status.code, other.call().status.code] == [0, 0]
            before = sum(milvus.calls.values())
            milvus.open.clear()
            calls = [one.start(), other.start()]
            until(lambda: sum(milvus.calls.values()) == before + 2)
            milvus.open.set()
            assert {call.result() for call in calls} == {b"\x0a\x00"}
