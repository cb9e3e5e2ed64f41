"""Addresses in a user's notation, and the two lowest layers: DNS and TCP."""

from __future__ import annotations

import select
import socket
import struct
import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kiteway.probe import Endpoint, Reason, parse_endpoint, tcp
from kiteway.probe.dns import probe_dns
from kiteway.probe.tcp import probe_tcp
from tests.unit.probe_servers import full_backlog, serving, silence

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("milvus.example", "milvus.example", 443),
        ("milvus.example:8443", "milvus.example", 8443),
        ("10.0.0.1:19530", "10.0.0.1", 19530),
        ("::1", "::1", 443),
        ("[::1]", "::1", 443),
        ("[fe80::1]:19530", "fe80::1", 19530),
    ],
)
async def test_the_forms_of_an_address(text: str, host: str, port: int) -> None:
    """A name, an IPv4 and an IPv6 address, each with and without a port."""
    assert parse_endpoint(text, 443) == Endpoint(host, port)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("https://milvus.example", "without a scheme"),
        ("milvus.example/path", "without a scheme or a path"),
        ("milvus.example:", "is not a port"),
        ("milvus.example:0", "1 to 65535"),
        ("milvus.example:65536", "1 to 65535"),
        ("milvus.example:x", "is not a port"),
        ("milvus.example:²", "is not a port"),
        (":443", "names no host"),
        ("", "names no host"),
        ("a b", "names no host"),
        ("[::1", "is not an address"),
        ("[::1]443", "is not an address"),
    ],
)
async def test_an_invalid_address_is_an_error(text: str, sentence: str) -> None:
    """Any other text is an error with a sentence that says what to write."""
    with pytest.raises(ValueError, match=sentence):
        parse_endpoint(text, 443)


@given(text=st.text())
def test_no_text_breaks_the_parser(text: str) -> None:
    """Any text is an address or a ValueError."""
    try:
        endpoint = parse_endpoint(text, 443)
    except ValueError:
        return
    assert endpoint.host
    assert 1 <= endpoint.port <= 65535


async def test_an_address_resolves_to_itself() -> None:
    """An IPv4 or IPv6 address resolves to itself."""
    assert (await probe_dns("127.0.0.1", 1)).ipv4 == ("127.0.0.1",)
    assert (await probe_dns("::1", 1)).ipv6 == ("::1",)


async def test_a_name_resolves() -> None:
    """``localhost`` has an address, and no failure."""
    seen = await probe_dns("localhost", 1)
    assert seen.failure is None
    assert seen.ipv4 or seen.ipv6


@pytest.mark.parametrize("name", ["no-such-name.invalid", "a" * 300, "a..b", "\ud800"])
async def test_a_failed_resolution_is_a_result(name: str) -> None:
    """A name without a record, and an invalid name, are failures in the result, not exceptions."""
    seen = await probe_dns(name, 1)
    assert seen.failure is not None
    assert seen.failure.reason in (Reason.NAME_NOT_FOUND, Reason.RESOLVER_FAILED)
    assert (await probe_tcp(Endpoint(name, 1))).failure == seen.failure


async def test_a_slow_resolver_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """A resolver that does not answer in time is a separate failure, and the probe does not wait longer."""
    release = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: release.wait(30))
    seen = await probe_dns("milvus.example", 1, timeout=0.05)
    release.set()
    assert seen.failure is not None
    assert seen.failure.reason is Reason.RESOLVER_FAILED


async def test_an_open_port_connects() -> None:
    """A probe of an open port succeeds; ``connect_to`` is the real target, whatever the host's name."""
    async with serving(silence) as port:
        seen = await probe_tcp(Endpoint("no-such-name.invalid", port, connect_to="127.0.0.1"))
    assert seen.failure is None
    assert seen.connected == f"127.0.0.1:{port}"


async def test_a_closed_port_is_refused() -> None:
    """A refused connection is distinguished from one without an answer."""
    async with serving(silence) as port:
        pass
    seen = await probe_tcp(Endpoint("127.0.0.1", port))
    assert seen.failure is not None
    assert seen.failure.reason is Reason.CONNECTION_REFUSED


async def test_a_connection_that_is_reset_at_once_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """An endpoint that accepts and resets before the probe looks at the connection is a result, not an exception."""
    connect = tcp.open_socket

    async def connect_and_wait(endpoint: Endpoint, **options: Any) -> socket.socket:
        opened = await connect(endpoint, **options)
        accepted, _ = listener.accept()
        accepted.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        accepted.close()
        reset = select.poll()
        reset.register(opened, select.POLLHUP)
        assert reset.poll(5000)
        return opened

    monkeypatch.setattr(tcp, "open_socket", connect_and_wait)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        seen = await probe_tcp(Endpoint("127.0.0.1", listener.getsockname()[1]))
    assert seen.connected is None
    assert seen.failure is not None
    assert seen.failure.reason is Reason.CONNECTION_FAILED
    assert "reset" in seen.failure.detail


async def test_a_dropped_connect_ends_in_time() -> None:
    """If packets are dropped the probe ends at the timeout, and the reason says so."""
    with full_backlog() as port:
        seen = await probe_tcp(Endpoint("127.0.0.1", port), timeout=0.2)
    assert seen.failure is not None
    assert seen.failure.reason is Reason.CONNECT_TIMEOUT


async def test_an_address_without_a_route_is_unreachable() -> None:
    """A refusal by the kernel is a separate reason: 255.255.255.255 is no TCP address."""
    seen = await probe_tcp(Endpoint("255.255.255.255", 1), timeout=1)
    assert seen.failure is not None
    assert seen.failure.reason is Reason.UNREACHABLE


async def test_a_dead_address_does_not_hide_a_living_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of several addresses the probe uses the first that accepts, and reports the others."""
    async with serving(silence) as port:
        with full_backlog() as dead:
            answers = [
                (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", dead)),
                (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port)),
            ]
            monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: answers)
            seen = await probe_tcp(Endpoint("milvus.example", port), timeout=4)
    assert seen.failure is None
    assert [one.reason for one in seen.refused] == [Reason.CONNECT_TIMEOUT]
