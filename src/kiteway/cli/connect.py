"""Says how PyMilvus connects to what an instance serves."""

from __future__ import annotations

import json
from pathlib import Path

from kiteway.model import ListenerProtocol
from kiteway.probe.result import join_host_port
from kiteway.report.routing import ListenerReport
from kiteway.report.status import Status

_LOCAL = "localhost"
_EVERY = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - what it is replaced by is where a client connects
_SHOWN = 5
"""More hosts than these are only counted."""


def first_host(status: Status) -> tuple[str, ListenerReport] | None:
    """Return the first host and the listener that serves it with TLS; None if no client can connect."""
    listener = next((each for each in status.listeners if each.name is ListenerProtocol.HTTPS), None)
    hosts = _hosts(status)
    return (hosts[0], listener) if listener is not None and hosts else None


def reached_at(address: str) -> str:
    """Return the address at which a client on this machine reaches a listener on ``address``."""
    return _EVERY.get(address, address)


def _hosts(status: Status) -> list[str]:
    """Return the hosts by name; where every host is served and none is named, the names of the certificates."""
    served = [each.host for each in status.hosts if each.https]
    named = [each for each in served if "*" not in each]
    if named or "*" not in served:
        return named
    names = (name for each in status.certificates if not each.temporary for name in each.names)
    return [each for each in dict.fromkeys(names) if "*" not in each]


def connecting(status: Status, certificate: Path | None) -> str:
    """
    Return the lines that tell how to connect to the first host; empty without one that has HTTPS.

    Args:
        status: the hosts and the listeners.
        certificate: the file that clients trust; None if Kiteway has not made it.
    """
    found = first_host(status)
    if found is None:
        return ""
    first, listener = found
    hosts = _hosts(status)
    more = f" and {len(hosts) - _SHOWN} more" if len(hosts) > _SHOWN else ""
    address = _LOCAL if first == _LOCAL else reached_at(listener.address)
    arguments = [f'"https://{join_host_port(address, listener.port)}"']
    if certificate is not None:
        # JSON's strings are Python's.
        arguments.append(f"server_pem_path={json.dumps(str(certificate), ensure_ascii=False)}")
    else:
        arguments.append('server_pem_path="ca.crt"')
    if first != address:
        arguments.append(f'server_name="{first}"')
    trusted = "" if certificate is not None else "  # the CA's certificate; leave it out for a public CA"
    return f"""serves {", ".join(hosts[:_SHOWN])}{more}; connect with

    from pymilvus import MilvusClient
    client = MilvusClient({", ".join(arguments)}){trusted}
"""
