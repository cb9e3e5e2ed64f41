"""Keepalive pings to servers that are not Milvus, on a real Envoy."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest

from kiteway.envoy.admin import AdminClient
from tests.e2e.traffic import INSERT, OK_RESULT, SERVICE, Backend, eventually, health_check, model, pool, running
from tests.support.health import MILVUS, answering
from tests.support.kiteway import Running, tls_files, up_with_guide, wait_until

pytestmark = pytest.mark.e2e

QUERY = f"{SERVICE}/Query"
LONG = 35.0
"""Seconds; with the pings that Milvus gets, every 6 to 6.9 s, the server closes the connection at the fourth."""


@pytest.mark.timeout(180)
def test_a_long_call_to_a_grpc_server_is_answered_and_made_once(tmp_path: Path, free_port: Callable[[], int]) -> None:
    """
    On a server of gRPC's own library with its defaults (two pings within 300 s), a Query and an Insert that take longer
    than four of Milvus's pings are answered, and each is sent once.
    """

    def slow(_request: bytes, _context: grpc.ServicerContext) -> bytes:
        time.sleep(LONG)
        return OK_RESULT

    with Backend(slow) as first, Backend(slow) as second, running(tmp_path, free_port) as proxy:
        proxy.apply(model(pool(health_check=health_check())), [first.endpoint(), second.endpoint()])
        with proxy.channel() as channel:
            methods = (QUERY, INSERT)
            stubs: list[grpc.UnaryUnaryMultiCallable[bytes, bytes]] = [channel.unary_unary(m) for m in methods]
            calls = [stub.future(b"x" * 100_000, timeout=150) for stub in stubs]
            eventually(lambda: len(first.calls + second.calls) == 2, "both have arrived")
            assert [each.result() for each in calls] == [OK_RESULT, OK_RESULT]
        assert sorted(each.method for each in first.calls + second.calls) == ["Insert", "Query"]
        assert proxy.stat("upstream_rq_retry") == 0


def _seconds(running: Running) -> float:
    [found] = running.status()["pools"]
    seconds: float = found["keepaliveSeconds"]
    return seconds


def _changes(running: Running) -> int:
    async def read() -> int:
        async with AdminClient(running.instance.admin_socket) as admin:
            return (await admin.stats("^cluster_manager.cluster_modified$"))["cluster_manager.cluster_modified"]

    return asyncio.run(read())


def test_only_what_answers_as_milvus_is_pinged_often(tmp_path: Path, free_port: Callable[[], int]) -> None:
    """With the guide's BackendConfig, a server that only passes the check is not treated as Milvus."""
    front = tls_files(tmp_path, "front", "my-release.milvus.io")
    with answering(b"OK") as other, up_with_guide(tmp_path / "other", front, free_port(), [(free_port(), other)]) as up:
        assert _seconds(up) == 330
    with answering(MILVUS) as own, up_with_guide(tmp_path / "own", front, free_port(), [(free_port(), own)]) as up:
        wait_until(lambda: _seconds(up) == 6, "Milvus is recognized")
        before = _changes(up)
        up.kill("controlplane")
        wait_until(lambda: up.status().get("ready"), "the control plane is ready again")
        # Envoy gets what it has: nothing is pinged less for a moment, and no connection made anew.
        assert (_seconds(up), _changes(up)) == (6, before)
