"""The client of Envoy's admin API, with a real Envoy."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme

from kiteway.envoy.admin import (
    AdminClient,
    AdminError,
    AdminResponseError,
    AdminTimeoutError,
    AdminUnavailableError,
    Connections,
)
from kiteway.envoy.bootstrap import OverloadLimits, bootstrap
from kiteway.files import write_atomic
from kiteway.instance import Instance

pytestmark = pytest.mark.e2e

DEADLINE = 60.0
HOST = "my-release.milvus.io"
_TYPES = "type.googleapis.com/envoy.extensions"


@asynccontextmanager
async def admin_of(envoy: Path, instance: Instance, config: dict[str, Any]) -> AsyncIterator[AdminClient]:
    """Run Envoy with ``config``; yield a client when its admin API answers."""
    with instance.acquire():
        write_atomic(instance.drain_file, b"0", 0o600)
        write_atomic(instance.bootstrap_file, json.dumps(config).encode(), 0o600)
        command = [str(envoy), "-c", str(instance.bootstrap_file), "--disable-hot-restart", "--concurrency", "1"]
        process = await asyncio.create_subprocess_exec(*command, "--log-level", "error")
        try:
            async with AdminClient(instance.admin_socket) as admin:
                async with asyncio.timeout(DEADLINE):
                    while True:
                        try:
                            await admin.server_info()
                            break
                        except AdminUnavailableError:
                            await asyncio.sleep(0.01)
                yield admin
        finally:
            process.terminate()
            await process.wait()


def base(instance: Instance) -> dict[str, Any]:
    """Return the production bootstrap without ADS."""
    config = bootstrap(instance, node_id="test", limits=OverloadLimits(512 << 20, 1000))
    del config["dynamic_resources"]
    config["static_resources"] = {}
    return config


def cluster(name: str, port: int, **more: Any) -> dict[str, Any]:
    """Return a cluster with one endpoint."""
    address = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
    endpoints = [{"lb_endpoints": [{"endpoint": {"address": address}, "load_balancing_weight": 7}]}]
    assignment = {"cluster_name": name, "endpoints": endpoints}
    return {"name": name, "type": "STATIC", "load_assignment": assignment, **more}


def test_what_it_tells_of_a_running_envoy(tmp_path: Path, envoy_binary: Path) -> None:
    """The client returns version, state, counters, metrics and endpoints, and shows a failed health check."""

    async def main() -> None:
        instance = Instance(tmp_path)
        config = base(instance)
        config["static_resources"]["clusters"] = [cluster("pool", 19530)]
        async with admin_of(envoy_binary, instance, config) as admin:
            async with asyncio.timeout(DEADLINE):
                while not await admin.ready():  # noqa: ASYNC110 - another process has no event
                    await asyncio.sleep(0.01)
            info = await admin.server_info()
            assert info.state == "LIVE"
            assert info.version.count("/") >= 3
            assert await admin.stats("^server.live$") == {"server.live": 1}
            assert await admin.stats("^no.such.thing$") == {}
            metrics = b"".join([piece async for piece in admin.prometheus()])
            assert b"\nenvoy_server_live{} 1\n" in metrics
            (endpoint,) = (await admin.clusters())["pool"].endpoints
            assert (endpoint.address, endpoint.weight, endpoint.healthy) == ("127.0.0.1:19530", 7, True)
            assert endpoint.attempts.total == 0
            assert await admin.connections() == Connections(0, 0, 0)
            await admin.set_log_level("warning")
            with pytest.raises(AdminResponseError) as refused:
                await admin.set_log_level("shouting")
            assert refused.value.status == 400
            await admin.fail_healthcheck()
            assert not await admin.ready()
            assert (await admin.server_info()).state == "DRAINING"
            await admin.quit()
            async with asyncio.timeout(DEADLINE):
                while True:
                    try:
                        await admin.server_info()
                    except AdminUnavailableError:
                        break
                    await asyncio.sleep(0.01)

    asyncio.run(main())


def test_private_keys_are_redacted_in_the_dump(
    tmp_path: Path, free_port: Callable[[], int], envoy_binary: Path
) -> None:
    """config_dump has the certificate and never the key; /certs has the names."""
    issued = trustme.CA().issue_cert(HOST)
    key = issued.private_key_pem.bytes().decode()

    async def main() -> None:
        instance = Instance(tmp_path)
        config = base(instance)
        chain = {"inline_string": issued.cert_chain_pems[0].bytes().decode()}
        secret = {"certificate_chain": chain, "private_key": {"inline_string": key}}
        config["static_resources"]["secrets"] = [{"name": "tls", "tls_certificate": secret}]
        tls = {
            "@type": f"{_TYPES}.transport_sockets.tls.v3.DownstreamTlsContext",
            "common_tls_context": {"tls_certificate_sds_secret_configs": [{"name": "tls"}]},
        }
        filters = [
            {
                "name": "tcp",
                "typed_config": {
                    "@type": f"{_TYPES}.filters.network.tcp_proxy.v3.TcpProxy",
                    "stat_prefix": "test",
                    "cluster": "pool",
                },
            }
        ]
        address = {"socket_address": {"address": "127.0.0.1", "port_value": free_port()}}
        listener_chain = {"transport_socket": {"name": "tls", "typed_config": tls}, "filters": filters}
        config["static_resources"]["listeners"] = [
            {"name": "test", "address": address, "filter_chains": [listener_chain]}
        ]
        config["static_resources"]["clusters"] = [cluster("pool", 19530)]
        async with admin_of(envoy_binary, instance, config) as admin:
            async with asyncio.timeout(DEADLINE):
                while not (certificates := await admin.certificates()):  # noqa: ASYNC110 - as above
                    await asyncio.sleep(0.01)
            dump = json.dumps(await admin.config_dump())
        assert [certificate.subject_alt_names for certificate in certificates] == [(HOST,)]
        assert HOST in dump or "certificate_chain" in dump
        assert key.splitlines()[1] not in dump
        assert "[redacted]" in dump or "W3JlZGFjdGVkXQ==" in dump

    asyncio.run(main())


def test_wait_warm_waits_for_the_first_health_check(
    tmp_path: Path, free_port: Callable[[], int], envoy_binary: Path
) -> None:
    """A cluster is warming until its first health check ends; the wait names the missing clusters."""

    async def main() -> None:
        answer = asyncio.Event()

        async def healthz(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            await answer.wait()
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
            writer.close()

        async with await asyncio.start_server(healthz, "127.0.0.1") as server:
            port = server.sockets[0].getsockname()[1]
            instance = Instance(tmp_path)
            check = {
                "timeout": "600s",
                "interval": "600s",
                "healthy_threshold": 1,
                "unhealthy_threshold": 1,
                "http_health_check": {"path": "/healthz"},
            }
            resource = {
                "@type": "type.googleapis.com/envoy.config.cluster.v3.Cluster",
                **cluster("pool", port, health_checks=[check]),
            }
            cds = tmp_path / "cds.json"
            write_atomic(cds, json.dumps({"resources": [resource]}).encode(), 0o600)
            config = base(instance)
            config["dynamic_resources"] = {"cds_config": {"path_config_source": {"path": str(cds)}}}
            async with admin_of(envoy_binary, instance, config) as admin:
                with pytest.raises(AdminTimeoutError, match=r"warming: pool; unknown: other"):
                    await admin.wait_warm(["pool", "other"], 0.2)
                assert await admin.warming_clusters() == {"pool"}
                answer.set()
                await admin.wait_warm(["pool"], DEADLINE)
                assert await admin.warming_clusters() == frozenset()

    asyncio.run(main())


def test_no_envoy_is_a_typed_error(tmp_path: Path) -> None:
    """Without a socket the error names it, and is an AdminError as all errors of the client are."""

    async def main() -> None:
        async with AdminClient(tmp_path / "admin.sock") as admin:
            with pytest.raises(AdminUnavailableError, match=r"not reachable at .*admin\.sock"):
                await admin.ready()
            with pytest.raises(AdminError):
                [piece async for piece in admin.prometheus()]

    asyncio.run(main())


def test_silent_envoy_is_a_timeout(tmp_path: Path) -> None:
    """An admin socket that accepts and never answers leads to a timeout."""

    async def main() -> None:
        socket = tmp_path / "admin.sock"

        async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read()  # until the client has gone
            writer.close()
            closed.set()

        closed = asyncio.Event()
        async with await asyncio.start_unix_server(silent, socket):
            async with AdminClient(socket, timeout=0.1) as admin:
                with pytest.raises(AdminTimeoutError, match="/server_info"):
                    await admin.server_info()
            await closed.wait()

    asyncio.run(main())
