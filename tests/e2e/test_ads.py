"""The ADS server and a real Envoy."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest
import trustme
from google.protobuf.json_format import ParseDict

from kiteway._proto.envoy.config.cluster.v3.cluster_pb2 import Cluster
from kiteway._proto.envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment
from kiteway._proto.envoy.config.listener.v3.listener_pb2 import Listener
from kiteway._proto.envoy.config.route.v3.route_pb2 import RouteConfiguration
from kiteway._proto.envoy.extensions.filters.http.router.v3 import router_pb2 as _router
from kiteway._proto.envoy.extensions.filters.network.http_connection_manager.v3 import (
    http_connection_manager_pb2 as _hcm,
)
from kiteway._proto.envoy.extensions.transport_sockets.tls.v3 import tls_pb2 as _tls
from kiteway._proto.envoy.extensions.transport_sockets.tls.v3.secret_pb2 import Secret
from kiteway.envoy.ads import CLUSTER, ENDPOINT, LISTENER, SECRET, AdsServer, AdsState, Resource, Snapshot
from kiteway.envoy.binary import find_envoy

pytestmark = pytest.mark.e2e

_log = logging.getLogger(__name__)

REGISTERED = (_router, _hcm, _tls)
"""Imported so that ParseDict finds their types inside ``Any``."""

DEADLINE = 60.0
HOST = "my-release.milvus.io"
ADS: dict[str, Any] = {"ads": {}, "resource_api_version": "V3"}
ANY = "type.googleapis.com/envoy.extensions"


@pytest.fixture
def anyio_backend() -> str:
    """Return the event loop that grpc.aio runs on."""
    return "asyncio"


def free_port() -> int:
    """Return a port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def cluster(name: str, connect_timeout: str = "1s") -> Cluster:
    """Return a cluster whose endpoints come by EDS."""
    eds = {"eds_config": ADS}
    return ParseDict(
        {"name": name, "type": "EDS", "connect_timeout": connect_timeout, "eds_cluster_config": eds}, Cluster()
    )


def endpoints(name: str, *ports: int) -> ClusterLoadAssignment:
    """Return the endpoints of a cluster, on loopback."""
    lb_endpoints = [
        {"endpoint": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": port}}}} for port in ports
    ]
    return ParseDict({"cluster_name": name, "endpoints": [{"lb_endpoints": lb_endpoints}]}, ClusterLoadAssignment())


def routes(target: str, name: str = "main") -> RouteConfiguration:
    """Return a route table that sends everything to one cluster."""
    host = {"name": "all", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, "route": {"cluster": target}}]}
    return ParseDict({"name": name, "virtual_hosts": [host], "validate_clusters": False}, RouteConfiguration())


def listener(port: int, name: str = "https", *, tls: bool = True) -> Listener:
    """Return a listener whose routes come by RDS, and whose certificate, if it has one, comes by SDS."""
    manager = {
        "@type": f"{ANY}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "main",
        "rds": {"config_source": ADS, "route_config_name": "main"},
        "http_filters": [
            {"name": "router", "typed_config": {"@type": f"{ANY}.filters.http.router.v3.Router"}},
        ],
    }
    chain: dict[str, Any] = {"filters": [{"name": "http", "typed_config": manager}]}
    if tls:
        context = {"tls_certificate_sds_secret_configs": [{"name": "certificate", "sds_config": ADS}]}
        chain["transport_socket"] = {
            "name": "tls",
            "typed_config": {
                "@type": f"{ANY}.transport_sockets.tls.v3.DownstreamTlsContext",
                "common_tls_context": context,
            },
        }
    address = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
    return ParseDict({"name": name, "address": address, "filter_chains": [chain]}, Listener())


def secret(authority: trustme.CA) -> Secret:
    """Return a certificate for HOST."""
    issued = authority.issue_cert(HOST)
    return ParseDict(
        {
            "name": "certificate",
            "tls_certificate": {
                "certificate_chain": {"inline_string": b"".join(p.bytes() for p in issued.cert_chain_pems).decode()},
                "private_key": {"inline_string": issued.private_key_pem.bytes().decode()},
            },
        },
        Secret(),
    )


class Backend:
    """An HTTP/1.1 server that answers every request with its name."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.port = 0

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                await reader.readuntil(b"\r\n\r\n")
                body = self.name.encode()
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))
                await writer.drain()
        writer.close()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Backend]:
        """Listen on a free port."""
        server = await asyncio.start_server(self._answer, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()


class Envoy:
    """A running Envoy and its admin API."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.ads = directory / "ads" / "ads.sock"
        self._admin = directory / "admin.sock"

    def bootstrap(self) -> dict[str, Any]:
        """Return the bootstrap: ADS for everything."""
        pipe = {"endpoint": {"address": {"pipe": {"path": str(self.ads)}}}}
        http2 = {
            "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
            "explicit_http_config": {"http2_protocol_options": {}},
        }
        return {
            "node": {"id": "test-node", "cluster": "test"},
            "admin": {"address": {"pipe": {"path": str(self._admin), "mode": 0o600}}},
            "dynamic_resources": {
                "ads_config": {
                    "api_type": "DELTA_GRPC",
                    "transport_api_version": "V3",
                    "grpc_services": [{"envoy_grpc": {"cluster_name": "ads"}}],
                },
                "cds_config": ADS,
                "lds_config": ADS,
            },
            "static_resources": {
                "clusters": [
                    {
                        "name": "ads",
                        "type": "STATIC",
                        "connect_timeout": "1s",
                        "typed_extension_protocol_options": {
                            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": http2
                        },
                        "load_assignment": {"cluster_name": "ads", "endpoints": [{"lb_endpoints": [pipe]}]},
                    }
                ]
            },
        }

    @contextlib.asynccontextmanager
    async def running(self, *arguments: str) -> AsyncIterator[Envoy]:
        """Run the process; end it."""
        path = self.directory / "bootstrap.json"
        path.write_text(json.dumps(self.bootstrap()))
        log = (self.directory / "envoy.log").open("wb")
        process = await asyncio.create_subprocess_exec(
            str(find_envoy()),
            "-c",
            str(path),
            "--use-dynamic-base-id",
            "--concurrency",
            "1",
            "--drain-time-s",
            "1",
            *arguments,
            stdout=log,
            stderr=log,
        )
        try:
            yield self
        finally:
            process.terminate()
            await process.wait()
            log.close()

    async def get(self, path: str) -> str:
        """Return an answer of the admin API."""
        transport = httpx2.AsyncHTTPTransport(uds=str(self._admin))
        async with httpx2.AsyncClient(transport=transport, timeout=30) as client:
            return (await client.get(f"http://admin{path}")).text

    async def stats(self, pattern: str) -> dict[str, int]:
        """Return the numbers whose name matches."""
        lines = (await self.get(f"/stats?filter={pattern}")).splitlines()
        return {k: int(v) for k, _, v in (line.rpartition(": ") for line in lines) if v.isdigit()}


async def reached(server: AdsServer, condition: Callable[[AdsState], bool]) -> AdsState:
    """Wait until the state of the server satisfies the condition."""
    async with asyncio.timeout(DEADLINE):
        async for state in server.changes():
            if condition(state):
                return state
    raise AssertionError


def converged(server: AdsServer, snapshot: Snapshot) -> Callable[[AdsState], bool]:
    """Whether a client runs this snapshot."""
    return lambda state: state.version == snapshot.version and any(s.converged for s in state.streams)


def holds(kind: str, snapshot: Snapshot) -> Callable[[AdsState], bool]:
    """Whether the only client holds the resources of one type and no others: what is gone has been removed."""
    return lambda state: [s.acknowledged.get(kind) for s in state.streams] == [snapshot[kind].version]


@contextlib.asynccontextmanager
async def serving(path: Path) -> AsyncIterator[AdsServer]:
    """Run an ADS server."""
    server = AdsServer(path)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


class Client:
    """A client of the listener that trusts one CA and asks for HOST."""

    def __init__(self, authority: trustme.CA, port: int) -> None:
        context = ssl.create_default_context()
        authority.configure_trust(context)
        self._http = httpx2.AsyncClient(verify=context, timeout=10)
        self._url = f"https://127.0.0.1:{port}/"

    async def get(self) -> tuple[int, str]:
        """Send a request; return status and body."""
        response = await self._http.get(self._url, headers={"host": HOST}, extensions={"sni_hostname": HOST})
        return response.status_code, response.text

    async def eventually(self) -> tuple[int, str]:
        """Send requests until the listener accepts connections."""
        async with asyncio.timeout(DEADLINE):
            while True:
                with contextlib.suppress(httpx2.ConnectError):
                    return await self.get()
                await asyncio.sleep(0.01)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()


@pytest.mark.anyio
async def test_everything_is_delivered_and_a_request_passes(tmp_path: Path) -> None:
    """Listener, routes, cluster, endpoints and secret reach Envoy, and a TLS request reaches the endpoint."""
    authority, envoy, port = trustme.CA(), Envoy(tmp_path), free_port()
    async with Backend("one").running() as one, serving(envoy.ads) as server, envoy.running():
        assert [path.stat().st_mode & 0o777 for path in (envoy.ads, envoy.ads.parent)] == [0o600, 0o700]
        snapshot = Snapshot.of([listener(port), routes("a"), cluster("a"), endpoints("a", one.port), secret(authority)])
        await server.publish(snapshot)
        state = await reached(server, converged(server, snapshot))
        client = Client(authority, port)

        assert await client.eventually() == (200, "one")

        await client.close()
        [stream] = state.streams
        assert stream.node_id == "test-node"
        assert stream.envoy_version.startswith("1.")
        assert stream.acknowledged == {kind: snapshot[kind].version for kind in snapshot}
        assert state.active
        assert not state.rejections


@pytest.mark.anyio
async def test_a_bad_listener_is_rejected_and_the_old_one_serves_on(tmp_path: Path) -> None:
    """A listener Envoy refuses shows up in the state with its name; traffic and the good listener beside it go on."""
    authority, envoy, port = trustme.CA(), Envoy(tmp_path), free_port()
    async with Backend("one").running() as one, serving(envoy.ads) as server, envoy.running():
        good = Snapshot.of([listener(port), routes("a"), cluster("a"), endpoints("a", one.port), secret(authority)])
        await server.publish(good)
        await reached(server, converged(server, good))
        client = Client(authority, port)
        await client.eventually()

        bad = listener(port)
        bad.filter_chains[0].filters[0].typed_config.type_url = "type.googleapis.com/nonsense"
        second = listener(free_port(), name="second")
        mixed = good.replace(LISTENER, [Resource.of(bad), Resource.of(second)])
        await server.publish(mixed)
        state = await reached(server, converged(server, mixed))

        assert await client.get() == (200, "one")
        assert state.streams[0].rejected == {LISTENER: {"https": mixed[LISTENER]["https"].version}}
        certain = [entry.rejection for entry in state.rejections if entry.rejection.certain]
        assert [(r.type_url, list(r.resources), r.named) for r in certain] == [(LISTENER, ["https"], ("https",))]
        assert "nonsense" in certain[0].message
        assert "second::" in await envoy.get("/listeners")

        await server.publish(good)
        state = await reached(server, converged(server, good))
        assert state.streams[0].rejected == {}
        await client.close()


@pytest.mark.anyio
async def test_a_rejected_secret_is_not_quoted(tmp_path: Path) -> None:
    """Envoy quotes a resource that breaks a constraint; the private key must not get into the state that way."""
    authority, envoy, port = trustme.CA(), Envoy(tmp_path), free_port()
    async with serving(envoy.ads) as server, envoy.running():
        broken = secret(authority)
        broken.tls_certificate.password.filename = ""
        broken.tls_certificate.certificate_chain.inline_string = "nonsense"
        snapshot = Snapshot.of([listener(port), routes("a"), cluster("a"), endpoints("a"), broken])
        await server.publish(snapshot)
        state = await reached(server, lambda state: bool(state.rejections))

        assert "PRIVATE KEY" not in repr(state)


@pytest.mark.anyio
async def test_a_restart_of_the_server_sends_nothing_again(tmp_path: Path) -> None:
    """Envoy reconnects to a new server, is sent nothing it has, and not one request fails meanwhile."""
    authority, envoy, port = trustme.CA(), Envoy(tmp_path), free_port()
    async with Backend("one").running() as one, envoy.running():
        snapshot = Snapshot.of([listener(port), routes("a"), cluster("a"), endpoints("a", one.port), secret(authority)])
        async with serving(envoy.ads) as server:
            await server.publish(snapshot)
            await reached(server, converged(server, snapshot))
        client = Client(authority, port)
        assert await client.eventually() == (200, "one")
        before = await envoy.stats("update_success$")
        answers: list[tuple[int, str]] = []

        async def load() -> None:
            while True:
                answers.append(await client.get())

        loading = asyncio.ensure_future(load())
        async with serving(envoy.ads) as server:
            await server.publish(snapshot)
            state = await reached(server, converged(server, snapshot))
            await reached(server, lambda state: len(state.streams[0].acknowledged) == len(snapshot))
        loading.cancel()

        assert state.active
        assert await envoy.stats("update_success$") == before
        assert set(answers) == {(200, "one")}
        await client.close()


@pytest.mark.anyio
async def test_traffic_moves_to_a_new_cluster_without_a_failed_request(tmp_path: Path) -> None:
    """Routes go to a new cluster while requests run; the old cluster goes only afterwards, and no request fails."""
    authority, envoy, port = trustme.CA(), Envoy(tmp_path), free_port()
    async with (
        Backend("one").running() as one,
        Backend("two").running() as two,
        serving(envoy.ads) as server,
        envoy.running(),
    ):
        old = Snapshot.of([listener(port), routes("a"), cluster("a"), endpoints("a", one.port), secret(authority)])
        new = Snapshot.of([listener(port), routes("b"), cluster("b"), endpoints("b", two.port), secret(authority)])
        new = new.replace(SECRET, old[SECRET].values())
        await server.publish(old)
        await reached(server, converged(server, old))
        client = Client(authority, port)
        await client.eventually()
        answers: list[tuple[int, str]] = []

        async def load() -> None:
            while True:
                answers.append(await client.get())

        loading = asyncio.ensure_future(load())
        for _ in range(10):
            for snapshot in (new, old):
                await server.publish(snapshot)
                await reached(server, holds(CLUSTER, snapshot))
        loading.cancel()

        assert {status for status, _ in answers} == {200}
        assert {body for _, body in answers} == {"one", "two"}
        await client.close()


@pytest.mark.anyio
async def test_a_changed_cluster_warms_at_once(tmp_path: Path) -> None:
    """Envoy waits up to 15 s for the endpoints of a changed cluster and does not ask for them: they are sent again."""
    authority, envoy, port = trustme.CA(), Envoy(tmp_path), free_port()
    async with Backend("one").running() as one, serving(envoy.ads) as server, envoy.running():
        base = Snapshot.of([listener(port), routes("a"), cluster("a"), endpoints("a", one.port), secret(authority)])
        await server.publish(base)
        await reached(server, converged(server, base))
        changed = base.replace(CLUSTER, [Resource.of(cluster("a", "2s"))])
        await server.publish(changed)
        await reached(server, converged(server, changed))

        assert await envoy.stats("cluster.a.init_fetch_timeout") == {"cluster.a.init_fetch_timeout": 0}
        assert (await envoy.stats("warming_clusters"))["cluster_manager.warming_clusters"] == 0


@pytest.mark.anyio
async def test_one_endpoint_of_ten_thousand(tmp_path: Path) -> None:
    """1,000 clusters with 10,000 endpoints converge; a change of one sends one resource, a small part of the bytes."""
    envoy = Envoy(tmp_path)
    names = [f"default/service-{number:04}/19530" for number in range(1000)]
    async with serving(envoy.ads) as server, envoy.running("-l", "error"):
        snapshot = Snapshot.of(
            [cluster(name) for name in names]
            + [endpoints(name, *range(20000, 20010)) for name in names]
            + [routes(names[0]), listener(free_port(), tls=False)]
        )
        clock = asyncio.get_running_loop().time
        start = clock()
        await server.publish(snapshot)
        await reached(server, converged(server, snapshot))
        converge_seconds = clock() - start
        received = "cluster.ads.upstream_cx_rx_bytes_total"
        all_bytes = (await envoy.stats(received))[received]

        changed = snapshot.replace(ENDPOINT, [Resource.of(endpoints(names[7], *range(20001, 20010)))])
        start = clock()
        await server.publish(changed)
        await reached(server, converged(server, changed))
        change_seconds = clock() - start
        change_bytes = (await envoy.stats(received))[received] - all_bytes
        _log.info(
            "all: %.2f s, %d bytes; one endpoint: %.4f s, %d bytes",
            converge_seconds,
            all_bytes,
            change_seconds,
            change_bytes,
        )

        assert len(changed.diff(snapshot)[ENDPOINT]) == 1
        assert 0 < change_bytes < all_bytes / 100
        assert (await envoy.stats("cluster_manager.active_clusters"))["cluster_manager.active_clusters"] == 1001
