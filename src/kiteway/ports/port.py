"""The TCP ports of an instance."""

from __future__ import annotations

import ipaddress
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from kiteway.envoy.settings import EnvoySettings
from kiteway.probe.result import join_host_port


class PortError(Exception):
    """A port cannot be used; the message says which, why, which process uses it if that is visible, and what to do."""


@dataclass(frozen=True, slots=True)
class Port:
    """
    A port on which an instance listens, now or when a manifest needs it.

    Attributes:
        address: an IP address without brackets.
        number: 1 to 65535.
        option: the option that names it.
        address_option: the option that names the address.
    """

    address: str
    number: int
    option: str
    address_option: str = "--bind"

    def __str__(self) -> str:
        return join_host_port(self.address, self.number)

    def overlaps(self, address: str, number: int) -> bool:
        """Return whether both ports would get the same connections; ``::`` is IPv6 only, as Envoy binds it."""
        if number != self.number:
            return False
        one, other = ipaddress.ip_address(self.address), ipaddress.ip_address(address)
        return one.version == other.version and (one == other or one.is_unspecified or other.is_unspecified)


def ports_of(
    settings: EnvoySettings, metrics_bind: str | None = None, dashboard_bind: str | None = None
) -> tuple[Port, ...]:
    """
    Return the ports on which an instance with these settings may listen.

    Raises:
        ValueError: two of them are the same, or the address is invalid; the message is one sentence.
    """
    try:
        ipaddress.ip_address(settings.bind)
    except ValueError:
        raise ValueError(f'"{settings.bind}" of --bind is not an IP address, e.g. 127.0.0.1 or 0.0.0.0') from None
    found = [Port(settings.bind, settings.https_port, "--https-port")]
    if settings.http_port is not None:
        found.append(Port(settings.bind, settings.http_port, "--http-port"))
    if settings.grpc_port is not None:
        found.append(Port(settings.bind, settings.grpc_port, "--grpc-port"))
    for option, bind in (("--metrics-bind", metrics_bind), ("--dashboard", dashboard_bind)):
        if bind is not None:
            host, _, number = bind.rpartition(":")
            found.append(Port(host.strip("[]"), int(number), option, option))
    _distinct(found)
    return tuple(found)


def _distinct(ports: Sequence[Port]) -> None:
    for one, other in itertools.combinations(ports, 2):
        if one.overlaps(other.address, other.number):
            raise ValueError(
                f"{one.option} and {other.option} are the same port, {one.number}; give them different ports"
            )
