"""Tests from this machine that a challenge is answered, as the CA will test it."""

from __future__ import annotations

import http.client
import ipaddress
import socket
import ssl

from kiteway.envoy.settings import EnvoySettings
from kiteway.envoy.xds.challenges import ALPN_PROTOCOL, challenge_path
from kiteway.model import Challenge, HTTPChallenge, TLSChallenge

_TIMEOUT_SECONDS = 5.0


def is_live(challenge: Challenge, settings: EnvoySettings) -> bool:
    """Return whether Envoy's own listener answers the challenge. Blocks for at most some seconds."""
    host = _reachable(settings.bind)
    try:
        if isinstance(challenge, HTTPChallenge):
            return _answers(challenge, _connect(host, settings.http_port or 0, settings))
        return _handshakes(challenge, _connect(host, settings.https_port, settings))
    except (OSError, http.client.HTTPException):
        return False


def _reachable(bind: str) -> str:
    address = ipaddress.ip_address(bind)
    if not address.is_unspecified:
        return bind
    return "127.0.0.1" if address.version == 4 else "::1"


def _connect(host: str, port: int, settings: EnvoySettings) -> socket.socket:
    connection = socket.create_connection((host, port), timeout=_TIMEOUT_SECONDS)
    if settings.proxy_protocol:
        # PROXY protocol version 1, for a connection that no proxy forwards.
        connection.sendall(b"PROXY UNKNOWN\r\n")
    return connection


def _answers(challenge: HTTPChallenge, plain: socket.socket) -> bool:
    connection = http.client.HTTPConnection(challenge.domain)
    connection.sock = plain
    try:
        connection.request("GET", challenge_path(challenge))
        response = connection.getresponse()
        return response.status == 200 and response.read(4096) == challenge.key_authorization.encode()
    finally:
        connection.close()


def _handshakes(challenge: TLSChallenge, plain: socket.socket) -> bool:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # The certificate is compared byte by byte; no CA has signed it.
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols([ALPN_PROTOCOL])
    with plain, context.wrap_socket(plain, server_hostname=challenge.domain) as connection:
        expected = ssl.PEM_cert_to_DER_cert(challenge.certificate.chain.decode())
        return connection.selected_alpn_protocol() == ALPN_PROTOCOL and connection.getpeercert(True) == expected
