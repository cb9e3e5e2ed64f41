"""The effects of a Service and its BackendConfig, by requests through a real Envoy."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent import futures
from typing import Any

import grpc
import pytest

from kiteway.certificates.create import KeyPair, create_self_signed
from tests.e2e.behaviour import World, world
from tests.e2e.traffic import SEARCH, SERVICE, eventually
from tests.support.manifests import (
    Manifest,
    backend_config,
    endpoint_slice,
    ingress,
    rule,
    secret,
    service,
)

pytestmark = pytest.mark.e2e

HOST = "my-release.milvus.io"
THREE = ("one", "two", "three")


@pytest.fixture(scope="module")
def pair() -> KeyPair:
    """Return a certificate for the host."""
    return create_self_signed([HOST])


@pytest.fixture(scope="module")
def envoy(tmp_path_factory: pytest.TempPathFactory, free_port: Callable[[], int]) -> Iterator[World]:
    """Return a running Envoy without any configuration yet."""
    with world(tmp_path_factory.mktemp("e"), free_port) as running:
        yield running


@pytest.fixture(autouse=True)
def _released(envoy: World) -> Iterator[None]:
    """Let go what a test held back."""
    yield
    for backend in envoy.backends.values():
        backend.hold.set()
        backend.healthy = True


def configured(envoy: World, names: Sequence[str] = ("one",), **spec: Any) -> list[Manifest]:
    """Return an Ingress to backends under a BackendConfig."""
    check = {"type": "HTTP", "port": envoy.rest_port, "requestPath": "/healthz", "checkIntervalSec": 1, "timeoutSec": 1}
    return [
        ingress(rule(HOST)),
        service(rest_port=envoy.rest_port, backend_config="milvus"),
        backend_config(**{"healthCheck": check, **spec}),
        envoy.endpoints("milvus", *names),
    ]


def names(envoy: World, calls: int = 30, **options: Any) -> set[str]:
    """Return who answers that many REST requests."""
    return {envoy.rest(HOST, **options).name for _ in range(calls)}


def test_without_affinity_calls_are_spread(envoy: World) -> None:
    """Every endpoint gets requests of one client, and gRPC calls of one connection."""
    envoy.apply(*configured(envoy, THREE))
    assert names(envoy) == set(THREE)
    with envoy.channel(HOST) as channel:
        stub: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(SEARCH)
        seen = {dict(stub.with_call(b"", timeout=10)[1].initial_metadata())["x-backend"] for _ in range(30)}
    assert seen == set(THREE)


def test_affinity_by_client_ip(envoy: World) -> None:
    """All requests of an address go to one endpoint; different addresses use all endpoints."""
    envoy.apply(*configured(envoy, THREE, sessionAffinity={"affinityType": "CLIENT_IP"}))
    by_client = {source: names(envoy, 8, source=source) for source in (f"127.0.2.{number}" for number in range(1, 49))}
    assert all(len(seen) == 1 for seen in by_client.values()), by_client
    assert set().union(*by_client.values()) == set(THREE)


def test_affinity_by_client_ip_holds_for_grpc(envoy: World) -> None:
    """Calls by gRPC on one connection stay at one endpoint, too."""
    envoy.apply(*configured(envoy, THREE, sessionAffinity={"affinityType": "CLIENT_IP"}))
    assert len({envoy.call(HOST)["name"] for _ in range(20)}) == 1


def test_affinity_by_cookie(envoy: World) -> None:
    """A client that returns the cookie GCLB stays at one endpoint; new clients are spread over all."""
    envoy.apply(
        *configured(envoy, THREE, sessionAffinity={"affinityType": "GENERATED_COOKIE", "affinityCookieTtlSec": 50})
    )
    first_names = set()
    for source in (f"127.0.2.{number}" for number in range(1, 49)):
        first = envoy.rest(HOST, source=source)
        cookie = first.headers["set-cookie"]
        assert cookie.startswith("GCLB=")
        assert {"Max-Age=50", "Path=/", "HttpOnly"} <= {part.strip() for part in cookie.split(";")}
        again = [envoy.rest(HOST, source="127.0.3.1", cookie=cookie.partition(";")[0]) for _ in range(4)]
        assert {answer.name for answer in again} == {first.name}
        assert all("set-cookie" not in answer.headers for answer in again)
        first_names.add(first.name)
    assert first_names == set(THREE)


def test_a_session_cookie(envoy: World) -> None:
    """Without a lifetime the cookie lives until the client closes."""
    envoy.apply(*configured(envoy, THREE, sessionAffinity={"affinityType": "GENERATED_COOKIE"}))
    cookie = envoy.rest(HOST).headers["set-cookie"]
    assert cookie.startswith("GCLB=")
    assert "Max-Age" not in cookie


def test_custom_request_headers(envoy: World) -> None:
    """Headers are set with their variables, replace what the client sent, and reach gRPC as metadata."""
    sent = ["X-Client:{client_ip_address}", "X-Port:{client_port}", "X-Scheme:{client_encrypted} {client_protocol}"]
    sent += ["X-Server:{server_ip_address}:{server_port}", "X-Percent:100% %REQ(x-secret)%", "X-Geo:{client_region}"]
    envoy.apply(*configured(envoy, customRequestHeaders={"headers": sent}))
    answer = envoy.rest(HOST, source="127.0.2.9", x_client="forged", x_secret="secret")
    assert answer.got("x-client") == "127.0.2.9"
    assert (answer.got("x-port") or "").isdecimal()
    assert answer.got("x-scheme") == "false HTTP/1.1"
    assert answer.got("x-server") == f"127.0.0.1:{envoy.proxy.port}"
    assert answer.got("x-percent") == "100% %REQ(x-secret)%"
    assert answer.got("x-geo") == ""
    assert envoy.call(HOST)["headers"]["x-scheme"] == "false HTTP/2"


def test_custom_request_headers_over_tls(envoy: World, pair: KeyPair) -> None:
    """Header variables about TLS have the connection's values; in plaintext they are empty."""
    sent = ["X-TLS:{tls_version}", "X-Cipher:{tls_cipher_suite}", "X-SNI:{tls_sni_hostname}", "X-On:{client_encrypted}"]
    first, *others = configured(envoy, customRequestHeaders={"headers": sent})
    envoy.apply({**first, "spec": {**first["spec"], "tls": [{"secretName": "tls"}]}}, secret("tls", pair), *others)
    answer = envoy.rest(HOST, tls=True)
    assert answer.got("x-tls") == "TLSv1.3"
    assert "AES" in (answer.got("x-cipher") or "") or "CHACHA20" in (answer.got("x-cipher") or "")
    assert answer.got("x-sni") == HOST
    assert answer.got("x-on") == "true"
    plain = envoy.rest(HOST)
    assert [plain.got(name) for name in ("x-tls", "x-cipher", "x-sni", "x-on")] == ["", "", "", "false"]


def test_custom_response_headers(envoy: World) -> None:
    """Headers are added to the answers to both kinds of clients."""
    envoy.apply(*configured(envoy, customResponseHeaders={"headers": ["X-Served-By: kiteway"]}))
    assert envoy.rest(HOST).headers["x-served-by"] == "kiteway"
    with envoy.channel(HOST) as channel:
        stub: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(SEARCH)
        _, finished = stub.with_call(b"", timeout=10)
    assert dict(finished.initial_metadata())["x-served-by"] == "kiteway"


def test_timeout_sec_caps_a_call(envoy: World) -> None:
    """A call of any class ends after timeoutSec: gRPC with DEADLINE_EXCEEDED or UNAVAILABLE, REST with 504."""
    envoy.apply(*configured(envoy, timeoutSec=1))
    backend = envoy.backend("one")
    backend.hold.clear()
    for method in (SEARCH, f"{SERVICE}/Insert", f"{SERVICE}/CreateIndex"):
        with pytest.raises(grpc.RpcError) as caught:
            envoy.call(HOST, method, request=b"wait", timeout=20)
        assert caught.value.code() in {grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.UNAVAILABLE}
    assert envoy.rest(HOST, "/wait").status == 504


def test_without_timeout_sec_a_call_has_longer(envoy: World) -> None:
    """Without timeoutSec a call succeeds that takes twice as long as one that timeoutSec ended."""
    envoy.apply(*configured(envoy))
    backend = envoy.backend("one")
    backend.hold.clear()
    backend.waiting.clear()
    with futures.ThreadPoolExecutor(1) as pool:
        call = pool.submit(envoy.call, HOST, request=b"wait", timeout=20)
        assert backend.waiting.wait(10)
        threading.Timer(2.0, backend.hold.set).start()
        assert call.result(timeout=20)["name"] == "one"


def test_the_clients_deadline_is_honoured(envoy: World) -> None:
    """A gRPC deadline shorter than every timeout ends the call, at the endpoint as well."""
    envoy.apply(*configured(envoy, timeoutSec=3600))
    envoy.backend("one").hold.clear()
    with pytest.raises(grpc.RpcError) as caught:
        envoy.call(HOST, request=b"wait", timeout=0.5)
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED


def test_the_configured_health_check_decides(envoy: World) -> None:
    """An endpoint whose configured health check fails gets no requests until the check succeeds again."""
    envoy.apply(*configured(envoy, THREE))
    envoy.backend("two").healthy = False
    eventually(lambda: names(envoy, 12) == {"one", "three"}, "the unhealthy endpoint is left out")
    envoy.backend("two").healthy = True
    eventually(lambda: names(envoy, 12) == set(THREE), "the endpoint is back")


def test_an_endpoint_that_drains_finishes_its_calls(envoy: World) -> None:
    """A call in flight at a terminating endpoint is answered; new calls go to other endpoints."""
    manifests = configured(envoy, ("one",), connectionDraining={"drainingTimeoutSec": 60})
    envoy.apply(*manifests)
    leaving = envoy.backend("one")
    leaving.hold.clear()
    leaving.waiting.clear()
    with futures.ThreadPoolExecutor(1) as pool:
        call = pool.submit(envoy.call, HOST, request=b"wait", timeout=20)
        assert leaving.waiting.wait(10)
        slice_ = endpoint_slice([envoy.backend("two").address], envoy.grpc_port, draining=[leaving.address])
        envoy.apply(*manifests[:-1], slice_)
        eventually(lambda: names(envoy, 6) == {"two"}, "new calls go to the other endpoint")
        leaving.hold.set()
        assert call.result(timeout=20)["name"] == "one"


def test_http2_means_tls_to_the_endpoint(envoy: World, pair: KeyPair) -> None:
    """With app-protocols HTTP2 Envoy uses TLS to the endpoint and accepts any certificate of it."""
    credentials = grpc.ssl_server_credentials([(pair.key.reveal(), pair.certificate)])
    envoy.backend("tls", credentials)
    envoy.apply(ingress(rule(HOST)), service(protocol="HTTP2"), envoy.endpoints("milvus", "tls"))
    assert envoy.call(HOST)["name"] == "tls"


def test_rest_without_a_port_of_its_own(envoy: World, pair: KeyPair) -> None:
    """With TLS in Milvus and no port for REST, the answer to REST says so."""
    envoy.apply(ingress(rule(HOST)), service(protocol="HTTP2"), envoy.endpoints("milvus", "tls"))
    answer = envoy.rest(HOST, "/v1/vector/search", method="POST")
    assert (answer.status, "kiteway.io/rest-port" in answer.body["message"]) == (501, True)


def test_a_backend_config_for_one_port(envoy: World) -> None:
    """The BackendConfig of the port has priority over the default one: its header is sent."""
    manifests = configured(envoy, customRequestHeaders={"headers": ["X-Config:default"]})
    check = manifests[2]["spec"]["healthCheck"]
    other = backend_config("other", healthCheck=check, customRequestHeaders={"headers": ["X-Config:port"]})
    own = dict(manifests[1])
    reference = '{"default":"milvus","ports":{"milvus":"other"}}'
    annotations = {**own["metadata"]["annotations"], "cloud.google.com/backend-config": reference}
    own["metadata"] = {**own["metadata"], "annotations": annotations}
    envoy.apply(manifests[0], own, *manifests[2:], other)
    assert envoy.rest(HOST).got("x-config") == "port"


def test_no_endpoints(envoy: World) -> None:
    """
    A Service without endpoints answers gRPC with UNAVAILABLE, long before the client's deadline, and REST
    with 503.
    """
    envoy.apply(ingress(rule(HOST)), service(rest_port=envoy.rest_port))
    with pytest.raises(grpc.RpcError) as caught:
        envoy.call(HOST, timeout=20)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert envoy.rest(HOST).status == 503
