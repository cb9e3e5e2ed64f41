"""The probes against a real Milvus, without TLS and with it."""

from __future__ import annotations

from pathlib import Path

import pytest
import trustme

from kiteway.milvus.embedded import StandaloneMilvus, TLSFiles
from kiteway.probe import Endpoint, detect, milvus
from kiteway.probe.backend import HEALTH_PORT
from kiteway.probe.h2 import probe_h2
from kiteway.probe.http import probe_http

pytestmark = [pytest.mark.anyio, pytest.mark.e2e, pytest.mark.milvus, pytest.mark.usefixtures("port_9091")]


async def test_a_milvus_without_tls(tmp_path: Path) -> None:
    """``tlsMode: 0``: plaintext, its version, health on 9091, gRPC and REST on one port, SERVING."""
    async with StandaloneMilvus(tmp_path, health_port=HEALTH_PORT) as server:
        port = server.endpoint.port
        facts = await detect("127.0.0.1", port)
        assert (facts.reachable, facts.tls, facts.mutual_tls) == (True, False, False)
        assert (facts.health_port, facts.health_path, facts.reason) == (HEALTH_PORT, "/healthz", None)
        assert facts.milvus_version is not None
        assert facts.milvus_version.startswith("v2.3.5")
        endpoint = Endpoint("127.0.0.1", port)
        assert (await probe_h2(endpoint, None)).failure is None
        assert (await milvus.connect(endpoint, tls=None)).ok
        assert (await milvus.is_serving(endpoint, tls=None))[0]
        assert (await probe_http(endpoint, "/v1/vector/collections")).status is not None
        closed = await detect("127.0.0.1", HEALTH_PORT)
        assert closed.milvus_version is None
        assert closed.reason is not None


async def test_a_milvus_with_tls_and_health_elsewhere(tmp_path: Path) -> None:
    """``tlsMode: 1``: TLS with ALPN h2 and the certificate's names; no health on 9091 is a reason, not an error."""
    leaf = trustme.CA().issue_cert("my-release.milvus.io", "localhost")
    tls = TLSFiles(tmp_path / "server.pem", tmp_path / "server.key")
    tls.cert.write_bytes(b"".join(pem.bytes() for pem in leaf.cert_chain_pems))
    leaf.private_key_pem.write_to_path(str(tls.key))
    async with StandaloneMilvus(tmp_path / "data", tls=tls) as server:
        facts = await detect("127.0.0.1", server.endpoint.port)
    assert (facts.tls, facts.alpn_h2, facts.mutual_tls, facts.needs_auth) == (True, True, False, False)
    assert facts.server_names == ("my-release.milvus.io", "localhost")
    assert facts.milvus_version is not None
    assert facts.health_port is None
    assert facts.reason is not None
    assert f"no health answer on port {HEALTH_PORT}" in facts.reason
