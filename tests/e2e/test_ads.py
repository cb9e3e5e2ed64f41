"""The ADS server and a real Envoy."""

from __future__ import annotations

import asyncio
import logging
import socket
from pathlib import Path

import pytest
import trustme

from kiteway.envoy.ads import CLUSTER, ENDPOINT, LISTENER, SECRET, Resource, Snapshot
from kiteway.quarantine.quarantine import QuarantineState
from kiteway.status.readiness import why_not_serving
from tests.e2e.ads import (
    Backend,
    Client,
    Envoy,
    cluster,
    converged,
    endpoints,
    free_port,
    holds,
    listener,
    reached,
    routes,
    secret,
    serving,
)

pytestmark = pytest.mark.e2e

_log = logging.getLogger(__name__)


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
    """
    The state names the listener that Envoy rejects; its old version and the good listener beside it go on
    serving.
    """
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
async def test_a_taken_port_is_not_ready_and_served_once_it_is_free(tmp_path: Path) -> None:
    """The state has Envoy's message; when the port is free, Envoy accepts the same listener when it is sent again."""
    authority, envoy = trustme.CA(), Envoy(tmp_path)
    async with Backend("one").running() as one, serving(envoy.ads) as server, envoy.running():
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            snapshot = Snapshot.of(
                [listener(port), routes("a"), cluster("a"), endpoints("a", one.port), secret(authority)]
            )
            await server.publish(snapshot)
            state = await reached(server, converged(server, snapshot))
            reason = why_not_serving(state, QuarantineState())
            assert reason.startswith("Envoy rejects the Listener https: ")
            assert f"cannot bind '127.0.0.1:{port}': Address already in use" in reason
            assert not state.active

        server.retry()
        state = await reached(server, lambda state: why_not_serving(state, QuarantineState()) == "")
        client = Client(authority, port)
        assert await client.eventually() == (200, "one")
        assert not state.streams[0].refusals
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
    """
    After Envoy reconnects to a new server, the server sends nothing that Envoy has, and no request fails
    meanwhile.
    """
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
    """
    Routes move to a new cluster during requests; the old cluster is removed only afterwards, and no request
    fails.
    """
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
    """
    Envoy would wait 15 s for the endpoints of a changed cluster without asking for them: the server sends
    them again.
    """
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
