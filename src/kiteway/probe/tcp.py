"""Tests whether a TCP connection opens."""

import asyncio
import contextlib
import errno
import socket
import time
from dataclasses import dataclass

from kiteway.probe.dns import AddressInfo, probe_dns
from kiteway.probe.result import (
    DEFAULT_TIMEOUT,
    Endpoint,
    ProbeError,
    ProbeFailure,
    Reason,
    join_host_port,
)

_UNREACHABLE = frozenset(
    {
        errno.EHOSTUNREACH,
        errno.ENETUNREACH,
        errno.EHOSTDOWN,
        errno.ENETDOWN,
        errno.EADDRNOTAVAIL,
        errno.EAFNOSUPPORT,
    }
)


@dataclass(frozen=True, slots=True)
class TcpResult:
    """The result of a TCP connection: whether it opened, and to which of the host's addresses."""

    connected: str | None
    """``address:port`` that accepted."""
    refused: tuple[ProbeFailure, ...]
    """The errors of the addresses tried before it, in order."""
    failure: ProbeFailure | None = None


async def probe_tcp(endpoint: Endpoint, *, timeout: float = DEFAULT_TIMEOUT) -> TcpResult:
    """Open a TCP connection and close it again.

    Args:
        endpoint: where.
        timeout: seconds, the resolver included, shared by all addresses of the host.
    """
    refused: list[ProbeFailure] = []
    try:
        opened = await open_socket(endpoint, timeout=timeout, refused=refused)
    except ProbeError as error:
        return TcpResult(None, tuple(refused), error.failure)
    with contextlib.closing(opened):
        try:
            peer = opened.getpeername()
        except OSError:
            detail = f"{endpoint} accepted the TCP connection and reset it at once"
            return TcpResult(None, tuple(refused), ProbeFailure(Reason.CONNECTION_FAILED, detail))
    return TcpResult(join_host_port(str(peer[0]), endpoint.port), tuple(refused))


async def open_socket(
    endpoint: Endpoint, *, timeout: float, refused: list[ProbeFailure] | None = None
) -> socket.socket:
    """Connect to the first of the host's addresses that accepts.

    Raises:
        ProbeError: none did; the last address' reason.
    """
    deadline = time.monotonic() + timeout
    resolved = await probe_dns(endpoint.dialled, endpoint.port, timeout=timeout)
    if resolved.failure is not None:
        raise ProbeError(resolved.failure.reason, resolved.failure.detail)
    failure: ProbeFailure | None = None
    for position, address in enumerate(resolved.addresses):
        # One dead address (a wrong AAAA record) must not use up the time of the others.
        share = (deadline - time.monotonic()) / (len(resolved.addresses) - position)
        try:
            return await _connect(address, timeout=share)
        except ProbeError as error:
            failure = error.failure
            if refused is not None:
                refused.append(failure)
    if failure is None:
        raise ProbeError(Reason.NAME_NOT_FOUND, f"{endpoint.dialled} has no address record")
    raise ProbeError(failure.reason, failure.detail)


async def _connect(address: AddressInfo, *, timeout: float) -> socket.socket:
    family, sockaddr = address
    place = join_host_port(str(sockaddr[0]), int(sockaddr[1]))
    loop = asyncio.get_running_loop()
    opened: socket.socket | None = None
    try:
        opened = socket.socket(family, socket.SOCK_STREAM)
        opened.setblocking(False)
        async with asyncio.timeout(timeout):
            await loop.sock_connect(opened, sockaddr)
    except BaseException as error:
        if opened is not None:
            opened.close()
        if isinstance(error, OSError):
            raise _classified(error, place, timeout) from None
        raise
    return opened


def _classified(error: OSError, place: str, timeout: float) -> ProbeError:
    if isinstance(error, TimeoutError):
        return ProbeError(
            Reason.CONNECT_TIMEOUT,
            f"{place} did not answer a TCP connect in {timeout:.1f} s",
        )
    if isinstance(error, ConnectionRefusedError):
        return ProbeError(Reason.CONNECTION_REFUSED, f"{place} refused the TCP connection")
    if error.errno in _UNREACHABLE:
        return ProbeError(Reason.UNREACHABLE, f"{place} cannot be reached: {error.strerror}")
    return ProbeError(
        Reason.CONNECTION_FAILED,
        f"the TCP connection to {place} failed: {error.strerror}",
    )
