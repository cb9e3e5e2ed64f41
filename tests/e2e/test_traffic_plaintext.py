"""Plaintext: Milvus without TLS, REST on the public port, and old clients without TLS."""

from __future__ import annotations

import asyncio
import http.client
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import trustme
from pymilvus import MilvusClient

from kiteway.milvus.embedded import MilvusEndpoint, StandaloneMilvus, TLSFiles
from kiteway.model import BackendProtocol, Endpoint, LoadBalancer, PoolKey
from tests.e2e.traffic import (
    KEY,
    OK_RESULT,
    SEARCH,
    Backend,
    Proxy,
    call,
    eventually,
    failure,
    health_check,
    host,
    model,
    pool,
    route,
    running,
)

pytestmark = pytest.mark.e2e

OTHER = PoolKey("default", "other-milvus", 19530)


def test_a_client_from_before_tls_is_served_by_any_name(tmp_path: Path, free_port: Callable[[], int]) -> None:
    """With one Service, the plaintext gRPC port serves the host of the Ingress, an address, and any other name."""
    port = free_port()
    with Backend() as backend, running(tmp_path, free_port, grpc_port=port) as proxy:
        proxy.apply(model(pool(), host("milvus.example.com")), [backend.endpoint()])
        for name in ["milvus.example.com", "milvus.example.com:19530", "127.0.0.1", "old-name.internal"]:
            with proxy.channel(name, port) as channel:
                assert call(channel, SEARCH) == OK_RESULT
        with proxy.channel("old-name.internal") as channel:
            assert failure(channel, SEARCH).code() is grpc.StatusCode.PERMISSION_DENIED


def test_with_two_services_the_name_decides(tmp_path: Path, free_port: Callable[[], int]) -> None:
    """If hosts lead to different Services, an unknown name is not routed."""
    port = free_port()
    with Backend() as first, Backend() as second, running(tmp_path, free_port, grpc_port=port) as proxy:
        both = LoadBalancer(
            hosts=(host("a.example.com"), host("b.example.com", route(key=OTHER))), pools=(pool(), pool(key=OTHER))
        )
        proxy.apply(both, {KEY: [first.endpoint()], OTHER: [second.endpoint()]})
        with proxy.channel("b.example.com", port) as channel:
            call(channel, SEARCH)
        assert (len(first.calls), len(second.calls)) == (0, 1)
        with proxy.channel("c.example.com", port) as channel:
            assert "c.example.com" in (failure(channel, SEARCH).details() or "")


def test_the_plaintext_port_is_closed_by_default(tmp_path: Path, free_port: Callable[[], int]) -> None:
    """Only the ports that the options name are open."""
    with Backend() as backend, running(tmp_path, free_port) as proxy:
        proxy.apply(model(), [backend.endpoint()])
        assert proxy.settings.grpc_port is None
        assert not proxy.stats(r"^http\.grpc\.downstream_cx_total$")


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    """One event loop for what is started and stopped in different places."""
    with asyncio.Runner() as running_loop:
        yield running_loop


@pytest.fixture(scope="module")
def plain_milvus(runner: asyncio.Runner, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MilvusEndpoint]:
    """A Milvus without TLS: gRPC and REST on one port."""
    milvus = StandaloneMilvus(tmp_path_factory.mktemp("plain"))
    runner.run(milvus.start())
    yield milvus.endpoint
    runner.run(milvus.stop())


@pytest.fixture(scope="module")
def tls_milvus(
    runner: asyncio.Runner, tmp_path_factory: pytest.TempPathFactory, free_port: Callable[[], int]
) -> Iterator[tuple[MilvusEndpoint, int]]:
    """A Milvus with TLS, and the port of its REST."""
    directory = tmp_path_factory.mktemp("tls")
    issued = trustme.CA().issue_cert("localhost")
    issued.private_key_pem.write_to_path(directory / "key.pem")
    issued.cert_chain_pems[0].write_to_path(directory / "cert.pem")
    rest_port = free_port()
    files = TLSFiles(directory / "cert.pem", directory / "key.pem")
    milvus = StandaloneMilvus(directory / "milvus", tls=files, rest_port=rest_port)
    runner.run(milvus.start())
    yield milvus.endpoint, rest_port
    runner.run(milvus.stop())


def rest(port: int, method: str, path: str, body: dict[str, Any] | None = None) -> tuple[int, Any]:
    """Make a REST call; return the status and the JSON, or the text where it is none."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(method, path, body=json.dumps(body) if body else None)
        response = connection.getresponse()
        text = response.read().decode()
    finally:
        connection.close()
    try:
        return response.status, json.loads(text)
    except ValueError:
        return response.status, text


def use_both(proxy: Proxy, name: str) -> None:
    """Write by REST and read by gRPC, on the same port of the balancer."""
    status, answer = rest(proxy.port, "POST", "/v1/vector/collections/create", {"collectionName": name, "dimension": 4})
    assert (status, answer["code"]) == (200, 200)
    rows = [{"vector": [1.0, 2.0, 3.0, float(number)]} for number in range(10)]
    status, answer = rest(proxy.port, "POST", "/v1/vector/insert", {"collectionName": name, "data": rows})
    assert (status, answer["data"]["insertCount"]) == (200, 10)
    client = MilvusClient(f"http://127.0.0.1:{proxy.port}")
    try:
        assert client.list_collections() == [name]
        [hits] = client.search(name, [[1.0, 2.0, 3.0, 9.0]], limit=3, consistency_level="Strong")
        assert len(hits) == 3
    finally:
        client.close()
    query = {"collectionName": name, "vector": [1.0, 2.0, 3.0, 9.0], "limit": 3}
    eventually(
        lambda: len(rest(proxy.port, "POST", "/v1/vector/search", query)[1].get("data", [])) == 3, "REST finds it"
    )


@pytest.mark.milvus
def test_rest_and_grpc_share_the_port_of_a_milvus_without_tls(
    tmp_path: Path, free_port: Callable[[], int], plain_milvus: MilvusEndpoint
) -> None:
    """Calls go as h2c and REST as HTTP/1.1 to the same port, checked on the port of ``/healthz``."""
    with running(tmp_path, free_port) as proxy:
        endpoint = Endpoint("127.0.0.1", plain_milvus.port, health_port=plain_milvus.health_port)
        proxy.apply(model(pool(health_check=health_check())), [endpoint])
        use_both(proxy, "plain")


@pytest.mark.milvus
def test_rest_has_a_port_of_its_own_where_milvus_has_tls(
    tmp_path: Path, free_port: Callable[[], int], tls_milvus: tuple[MilvusEndpoint, int]
) -> None:
    """Calls by gRPC go over TLS with ALPN h2, and REST over TLS to the port that the annotation names."""
    endpoint, rest_port = tls_milvus
    with running(tmp_path, free_port) as proxy:
        tls = pool(protocol=BackendProtocol.HTTP2, rest_port=rest_port, health_check=health_check())
        proxy.apply(model(tls), [Endpoint("127.0.0.1", endpoint.port, health_port=endpoint.health_port)])
        use_both(proxy, "tls")


@pytest.mark.milvus
@pytest.mark.parametrize(
    "path", ["/metrics", "/healthz", "/management/stop", "/debug/pprof/", "/expr", "/log/level", "/api/v1/health", "/"]
)
def test_port_9091_is_not_reachable(
    tmp_path: Path, free_port: Callable[[], int], plain_milvus: MilvusEndpoint, path: str
) -> None:
    """The management API answers on its own port, and on no path through the balancer."""
    with running(tmp_path, free_port) as proxy:
        endpoint = Endpoint("127.0.0.1", plain_milvus.port, health_port=plain_milvus.health_port)
        proxy.apply(model(pool(health_check=health_check())), [endpoint])
        assert rest(plain_milvus.health_port, "GET", "/metrics")[0] == 200
        status, _ = rest(proxy.port, "GET", path)
    assert status == 404
