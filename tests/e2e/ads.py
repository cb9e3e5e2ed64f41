"""Helpers of the tests of the ADS server: a real Envoy, backends, and the messages that Envoy gets."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx2
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
from kiteway.envoy.ads import AdsServer, AdsState, Snapshot
from kiteway.envoy.binary import find_envoy

REGISTERED = (_router, _hcm, _tls)
"""Imported so that ParseDict finds their types inside ``Any``."""

DEADLINE = 60.0
HOST = "my-release.milvus.io"
ADS: dict[str, Any] = {"ads": {}, "resource_api_version": "V3"}
ANY = "type.googleapis.com/envoy.extensions"


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
        transport = httpx2.AsyncHTTPTransport(uds=str(self._admin), verify=False)
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
