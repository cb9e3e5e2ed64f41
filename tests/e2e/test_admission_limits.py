"""Limits by user and collection in a real Envoy with two workers, in front of small gRPC and HTTP servers."""

from __future__ import annotations

import contextlib
import http.client
import http.server
import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from pymilvus.grpc_gen import milvus_pb2

from kiteway import filter as kiteway_filter
from tests.e2e.admission import RATE_LIMIT, Client, Milvus, behind, question, statistic, until
from tests.e2e.routed import routed, write_routes
from tests.e2e.test_filter import Envoy, running_envoy

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(kiteway_filter.filter_path() is None, reason=kiteway_filter.missing_reason()),
]


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

        changed = {**policy, "limits": [{**limit, "requestsPerSecond": 2e-3}]}
        write_routes(tmp_path / "routes.json", {"policy": changed}, "2")
        until(lambda: statistic_of_routes(envoy) == "2")

        assert client.call().status.code == RATE_LIMIT
        assert milvus.calls == {"a": 1}


def statistic_of_routes(envoy: Envoy) -> str:
    """Return the version of the routes that Envoy uses."""
    dump = envoy.get("/config_dump?resource=dynamic_route_configs")
    return str(dump["configs"][0]["version_info"])


def test_a_rest_request_over_its_limit_gets_429(tmp_path: Path) -> None:
    """REST gets the status 429 with retry-after and Milvus's JSON, and Milvus does not get the request."""
    limit = {"by": ["user", "collection"], "requestsPerSecond": 0.1, "burstMs": 0}
    policy = {"scope": "policy", "limits": [limit]}
    config = routed([0], {"policy": policy}, tmp_path)
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
