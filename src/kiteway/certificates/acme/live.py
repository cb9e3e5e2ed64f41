"""Whether a challenge is really there: seen as the CA will see it, from this machine."""

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
            return _answers(challenge, host, settings.http_port or 0)
        return _handshakes(challenge, host, settings.https_port)
    except (OSError, http.client.HTTPException):
        return False


def _reachable(bind: str) -> str:
    address = ipaddress.ip_address(bind)
    if not address.is_unspecified:
        return bind
    return "127.0.0.1" if address.version == 4 else "::1"


def _answers(challenge: HTTPChallenge, host: str, port: int) -> bool:
    connection = http.client.HTTPConnection(host, port, timeout=_TIMEOUT_SECONDS)
    try:
        connection.request("GET", challenge_path(challenge), headers={"Host": challenge.domain})
        response = connection.getresponse()
        return response.status == 200 and response.read(4096) == challenge.key_authorization.encode()
    finally:
        connection.close()


def _handshakes(challenge: TLSChallenge, host: str, port: int) -> bool:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # The certificate is compared byte by byte; no CA vouches for it.
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols([ALPN_PROTOCOL])
    with (
        socket.create_connection((host, port), timeout=_TIMEOUT_SECONDS) as plain,
        context.wrap_socket(plain, server_hostname=challenge.domain) as connection,
    ):
        expected = ssl.PEM_cert_to_DER_cert(challenge.certificate.chain.decode())
        return connection.selected_alpn_protocol() == ALPN_PROTOCOL and connection.getpeercert(True) == expected
