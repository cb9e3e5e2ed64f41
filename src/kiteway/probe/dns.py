"""Names to addresses, as the machine's own resolver answers."""

import asyncio
import socket
from dataclasses import dataclass
from typing import Any

from kiteway.probe.result import DEFAULT_TIMEOUT, ProbeFailure, Reason
from kiteway.probe.threads import in_daemon_thread

AddressInfo = tuple[socket.AddressFamily, tuple[Any, ...]]
"""Family and socket address, ready for ``connect``."""

_NO_SUCH_NAME = frozenset(code for code in (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", None)) if code is not None)


@dataclass(frozen=True, slots=True)
class DnsResult:
    """The addresses of a name, in the order in which a client would try them."""

    ipv4: tuple[str, ...]
    ipv6: tuple[str, ...]
    addresses: tuple[AddressInfo, ...]
    failure: ProbeFailure | None = None


async def probe_dns(host: str, port: int, *, timeout: float = DEFAULT_TIMEOUT) -> DnsResult:
    """Resolve ``host`` (A and AAAA; an address resolves to itself).

    Args:
        host: a name, or an IPv4 or IPv6 address without brackets.
        port: put into the returned socket addresses.
        timeout: seconds.
    """
    try:
        async with asyncio.timeout(timeout):
            found = await in_daemon_thread(
                lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM),
                name="resolver",
            )
    except TimeoutError:
        return _failed(Reason.RESOLVER_FAILED, f"the resolver gave no answer for {host} in time")
    except socket.gaierror as error:
        if error.errno in _NO_SUCH_NAME:
            return _failed(Reason.NAME_NOT_FOUND, f"{host} has no address record")
        return _failed(Reason.RESOLVER_FAILED, f"the resolver failed for {host}: {error.strerror}")
    except UnicodeError:
        return _failed(Reason.NAME_NOT_FOUND, f"{host!r} is not a valid host name")
    addresses = tuple((family, sockaddr) for family, _, _, _, sockaddr in found)
    return DnsResult(
        ipv4=tuple(str(a[0]) for family, a in addresses if family == socket.AF_INET),
        ipv6=tuple(str(a[0]) for family, a in addresses if family == socket.AF_INET6),
        addresses=addresses,
    )


def _failed(reason: Reason, detail: str) -> DnsResult:
    return DnsResult((), (), (), ProbeFailure(reason, detail))
