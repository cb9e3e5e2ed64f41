"""Clients for plaintext read no certificates of CAs, which takes 30 ms of the processor each time."""

from __future__ import annotations

import ssl
from pathlib import Path

import httpx2
import pytest

from kiteway.controlplane.recognition import Recognition
from kiteway.envoy.admin import AdminClient
from kiteway.envoy.calls import CallsClient
from kiteway.model import PoolKey
from kiteway.pipeline.health_addresses import Address

pytestmark = pytest.mark.anyio


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Return what is read of CAs, from now on."""
    found: list[object] = []
    monkeypatch.setattr(
        ssl.SSLContext, "load_verify_locations", lambda _self, *given, **named: found.append(named or given)
    )
    return found


@pytest.mark.parametrize("client", [AdminClient, CallsClient])
async def test_a_client_of_a_unix_socket_reads_no_ca(
    client: type[AdminClient | CallsClient], tmp_path: Path, read: list[object]
) -> None:
    """Envoy's admin and the filter's counts are on unix sockets, without TLS."""
    async with client(tmp_path / "socket"):
        assert read == []


async def test_a_look_at_health_ports_reads_no_ca(read: list[object]) -> None:
    """Milvus is recognised in plaintext."""

    async def milvus(_client: httpx2.AsyncClient, _address: Address) -> bool:
        return True

    recognition = Recognition(milvus)
    assert await recognition.look({PoolKey("default", "milvus", 19530): (Address("10.0.0.1", 9091),)})
    assert read == []
