"""``detect`` finds the properties of a Milvus."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest

from kiteway.probe import backend, detect
from tests.unit.probe_servers import (
    GET_VERSION,
    HOST,
    VERSION_ANSWER,
    Authority,
    grpc_server,
    http1,
    management,
    serving,
    silence,
    tls_server,
)

pytestmark = pytest.mark.anyio


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """Return a CA of the test's own."""
    return Authority(tmp_path)


@contextlib.asynccontextmanager
async def health(monkeypatch: pytest.MonkeyPatch, status: str = "200 OK", body: bytes = b"OK") -> AsyncIterator[int]:
    """
    A management port that is free here, in place of 9091.

    Its metrics are of this very process, in which the Milvus of a test is a server too.
    """
    async with serving(management(status, body)) as port:
        monkeypatch.setattr(backend, "HEALTH_PORT", port)
        yield port


async def test_a_plaintext_milvus(monkeypatch: pytest.MonkeyPatch) -> None:
    """With ``tlsMode: 0`` the result has no TLS, the version, and the health port."""
    with grpc_server({GET_VERSION: VERSION_ANSWER}) as port:
        async with health(monkeypatch) as health_port:
            facts = await detect("127.0.0.1", port)
    assert facts.reachable
    assert not facts.tls
    assert facts.milvus_version == "v2.3.5"
    assert (facts.health_port, facts.health_path, facts.reason) == (health_port, "/healthz", None)


async def test_a_tls_milvus(monkeypatch: pytest.MonkeyPatch, authority: Authority) -> None:
    """With ``tlsMode: 1`` the result has TLS with ALPN h2 and the certificate's names, whatever its issuer."""
    with grpc_server({GET_VERSION: VERSION_ANSWER}, authority.grpc_credentials(HOST, "milvus")) as port:
        async with health(monkeypatch):
            facts = await detect("127.0.0.1", port)
    assert (facts.tls, facts.alpn_h2, facts.mutual_tls) == (True, True, False)
    assert facts.server_names == (HOST, "milvus")
    assert (facts.milvus_version, facts.reason) == ("v2.3.5", None)


async def test_a_milvus_with_mutual_tls(monkeypatch: pytest.MonkeyPatch, authority: Authority) -> None:
    """The result recognises ``tlsMode: 2``, and the reason says what to do."""
    with tls_server(authority.mutual()) as port:
        async with health(monkeypatch):
            facts = await detect("127.0.0.1", port)
    assert (facts.tls, facts.mutual_tls) == (True, True)
    assert facts.reason is not None
    assert "tlsMode" in facts.reason


async def test_a_milvus_that_wants_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """UNAUTHENTICATED means that Milvus runs: there is no reason against it, but no version either."""
    with grpc_server({GET_VERSION: (grpc.StatusCode.UNAUTHENTICATED, "auth check failure")}) as port:
        async with health(monkeypatch):
            facts = await detect("127.0.0.1", port)
    assert (facts.needs_auth, facts.milvus_version, facts.reason) == (True, None, None)


async def test_an_unhealthy_milvus_still_shows_its_health_port(monkeypatch: pytest.MonkeyPatch) -> None:
    """A 500 from ``/healthz`` shows that the port is right; the reason is Milvus's own text."""
    with grpc_server({GET_VERSION: VERSION_ANSWER}) as port:
        async with health(monkeypatch, "500 Internal Server Error", b"Not all components are healthy, 1/2") as found:
            facts = await detect("127.0.0.1", port)
    assert facts.health_port == found
    assert facts.reason is not None
    assert "Not all components are healthy" in facts.reason


@pytest.mark.parametrize(
    "metrics", [b"process_open_fds 12\n", b"process_max_fds 1024\n", b"", b"process_open_fds 1\n" + b"x" * 300_000]
)
async def test_a_foreign_health_port_does_not_count(monkeypatch: pytest.MonkeyPatch, metrics: bytes) -> None:
    """A health port whose process does not accept the connections to the Milvus does not count."""
    monkeypatch.setattr(backend, "BELONGS_SECONDS", 0.5)
    with grpc_server({GET_VERSION: VERSION_ANSWER}) as port:
        async with serving(management("200 OK", b"OK", metrics)) as stranger:
            monkeypatch.setattr(backend, "HEALTH_PORT", stranger)
            facts = await detect("127.0.0.1", port)

    assert facts.milvus_version == "v2.3.5"
    assert facts.health_port is None
    assert facts.reason is not None
    assert f"at 127.0.0.1:{stranger} belongs to the Milvus at 127.0.0.1:{port}" in facts.reason
    assert f"health={stranger}" in facts.reason


@pytest.mark.parametrize("there", [True, False])
async def test_a_health_port_that_is_given_is_believed(*, there: bool) -> None:
    """A given health port is probed without the test, and its answer is reported."""
    with grpc_server({GET_VERSION: VERSION_ANSWER}) as port:
        async with serving(http1("200 OK", b"OK") if there else http1("404 Not Found", b"")) as health_port:
            facts = await detect("127.0.0.1", port, health_port=health_port)

    assert facts.health_port == health_port
    assert (facts.reason is None) == there
    assert there or f"no health answer on port {health_port}" in str(facts.reason)


async def test_no_health_is_looked_for_when_none_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    """With health=none the health port is not probed."""
    with grpc_server({GET_VERSION: VERSION_ANSWER}) as port:
        async with health(monkeypatch):
            facts = await detect("127.0.0.1", port, find_health=False)

    assert (facts.health_port, facts.reason) == (None, None)


@pytest.mark.parametrize("other", ["404 Not Found", None])
async def test_no_health_anywhere(monkeypatch: pytest.MonkeyPatch, other: str | None) -> None:
    """If 9091 belongs to another process, or no process listens, there is no health port, and the reason is given."""
    with grpc_server({GET_VERSION: VERSION_ANSWER}) as port:
        async with health(monkeypatch, other or "200 OK") as health_port:
            facts = await detect("127.0.0.1", port) if other else None
        facts = facts or await detect("127.0.0.1", port)
    assert facts.milvus_version == "v2.3.5"
    assert facts.health_port is None
    assert facts.reason is not None
    assert str(health_port) in facts.reason


async def test_a_closed_port_is_unreachable() -> None:
    """A closed port is unreachable, with the reason."""
    async with serving(silence) as port:
        pass
    facts = await detect("127.0.0.1", port)
    assert not facts.reachable
    assert facts.reason == f"127.0.0.1:{port} refused the TCP connection"


async def test_something_else_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    """A web server is reachable and not a Milvus."""
    async with health(monkeypatch), serving(http1("404 Not Found", b"")) as port:
        facts = await detect("127.0.0.1", port)
    assert facts.reachable
    assert facts.milvus_version is None
    assert facts.reason is not None
    assert facts.reason.startswith("no Milvus answers there")
