"""
Tests whether a server accepts old TLS versions.

Today's builds of OpenSSL do not speak TLS 1.0 and 1.1, so this module writes the first message of the handshake itself
and reads the server's first answer: a ServerHello of that version, or an alert.
"""

from __future__ import annotations

import asyncio
import os
import struct
from typing import Final

from kiteway.certificates.names import is_address
from kiteway.probe.result import Endpoint, ProbeError
from kiteway.probe.wire import open_wire

OLD_VERSIONS: Final = {"TLSv1": b"\x03\x01", "TLSv1.1": b"\x03\x02"}
"""By the name OpenSSL gives them; RFC 8996 withdrew both."""

# Suites that a server which still takes such clients would have (RFC 8422, RFC 5246): ECDHE and plain RSA with AES.
_SUITES = struct.pack(">8H", 0xC013, 0xC014, 0xC009, 0xC00A, 0x002F, 0x0035, 0x000A, 0x00FF)
_HANDSHAKE, _CLIENT_HELLO, _SERVER_HELLO = 22, 1, 2


async def accepted_old_versions(endpoint: Endpoint, name: str, *, timeout: float) -> tuple[str, ...]:
    """
    Return the withdrawn versions that the server accepts.

    Args:
        endpoint: where.
        name: the host to ask for (SNI); an address is not sent.
        timeout: seconds for each version.
    """
    found = await asyncio.gather(
        *(_accepts(endpoint, name, version, timeout=timeout) for version in OLD_VERSIONS.values())
    )
    return tuple(version for version, accepted in zip(OLD_VERSIONS, found, strict=True) if accepted)


async def _accepts(endpoint: Endpoint, name: str, version: bytes, *, timeout: float) -> bool:
    answer = b""
    try:
        async with asyncio.timeout(timeout), open_wire(endpoint, timeout=timeout) as wire:
            await wire.send(client_hello(name, version))
            while len(answer) < 11:
                received = await wire.receive()
                if not received:
                    break
                answer += received
    except (ProbeError, OSError, TimeoutError):
        return False
    # Record header (type, version, length), handshake header (type, 24 bits of length), then the chosen version.
    return len(answer) >= 11 and answer[0] == _HANDSHAKE and answer[5] == _SERVER_HELLO and answer[9:11] == version


def client_hello(name: str, version: bytes) -> bytes:
    """Return the first message of a handshake in which ``version`` is the highest (RFC 5246 section 7.4.1.2)."""
    extensions = _server_name(name)
    extensions += _extension(10, struct.pack(">HHHH", 6, 29, 23, 24))  # supported_groups: x25519, P-256, P-384
    extensions += _extension(11, b"\x01\x00")  # ec_point_formats: uncompressed
    body = version + os.urandom(32) + b"\x00"
    body += struct.pack(">H", len(_SUITES)) + _SUITES + b"\x01\x00" + struct.pack(">H", len(extensions)) + extensions
    message = bytes([_CLIENT_HELLO]) + len(body).to_bytes(3, "big") + body
    return bytes([_HANDSHAKE]) + b"\x03\x01" + struct.pack(">H", len(message)) + message


def _server_name(name: str) -> bytes:
    if is_address(name):
        return b""
    try:
        encoded = name.encode("idna")
    except UnicodeError:
        # Not a valid server name; the rules about the certificate report that.
        return b""
    entry = b"\x00" + struct.pack(">H", len(encoded)) + encoded
    return _extension(0, struct.pack(">H", len(entry)) + entry)


def _extension(number: int, data: bytes) -> bytes:
    return struct.pack(">HH", number, len(data)) + data
