"""Listeners: the ports that clients connect to."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class ListenerProtocol(enum.StrEnum):
    """The protocol of clients on a port."""

    HTTPS = "https"
    """TLS by SNI, with HTTP/2 or HTTP/1.1 inside."""
    HTTP = "http"
    GRPC = "grpc"
    """gRPC without TLS, for clients that do not use it yet."""


@dataclass(frozen=True, slots=True)
class Listener:
    """
    One port that is open.

    Attributes:
        protocol: what clients speak.
        address: the IP address it is bound to.
        port: its number.
        hosts: the domains of the hosts that it serves or redirects, in the model's order.
        server_names: the names that a certificate answers to by SNI, in the model's order; HTTPS only.
    """

    protocol: ListenerProtocol
    address: str
    port: int
    hosts: tuple[str, ...]
    server_names: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Its name in Envoy."""
        return str(self.protocol)
