"""The types that all probes report: the target, and the failure."""

from dataclasses import dataclass
from enum import StrEnum

DEFAULT_TIMEOUT = 5.0
"""Seconds a single probe may take."""
_LONGEST = 500
"""Characters of a detail. It may have text of a server, such as the names in its certificate, which can be 100 kB."""


class Reason(StrEnum):
    """Why a probe stopped, from the lowest layer to the highest."""

    NAME_NOT_FOUND = "NameNotFound"
    RESOLVER_FAILED = "ResolverFailed"

    CONNECTION_REFUSED = "ConnectionRefused"
    CONNECT_TIMEOUT = "ConnectTimeout"
    UNREACHABLE = "Unreachable"
    CONNECTION_FAILED = "ConnectionFailed"

    NOT_TLS = "NotTls"
    HANDSHAKE_CLOSED = "HandshakeClosed"
    HANDSHAKE_TIMEOUT = "HandshakeTimeout"
    HANDSHAKE_FAILED = "HandshakeFailed"
    NAME_REFUSED = "NameRefused"
    TLS_VERSION = "TlsVersion"
    UNKNOWN_CA = "UnknownCa"
    SELF_SIGNED = "SelfSigned"
    EXPIRED = "Expired"
    NOT_YET_VALID = "NotYetValid"
    NAME_MISMATCH = "NameMismatch"
    CLIENT_CERTIFICATE_REQUIRED = "ClientCertificateRequired"

    NOT_HTTP2 = "NotHttp2"
    NOT_HTTP = "NotHttp"
    CLOSED = "Closed"
    NO_ANSWER = "NoAnswer"

    NOT_GRPC = "NotGrpc"


@dataclass(frozen=True, slots=True)
class ProbeFailure:
    """The layer at which a probe failed, and why."""

    reason: Reason
    detail: str
    """The fact as seen, one sentence without a final stop, of at most 500 characters."""

    def __post_init__(self) -> None:
        if len(self.detail) > _LONGEST:
            object.__setattr__(self, "detail", f"{self.detail[: _LONGEST - 1]}…")


class ProbeError(Exception):
    """Carries a :class:`ProbeFailure` up to the probe that reports it; never leaves the package."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.failure = ProbeFailure(reason, detail)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A server to probe.

    ``host`` is a name or an IPv4 or IPv6 address without brackets. ``connect_to`` is where the
    connection really goes (a name or an address) when that is not ``host``: an address whose DNS
    record does not exist yet, or one of several.
    """

    host: str
    port: int
    connect_to: str | None = None

    @property
    def dialled(self) -> str:
        """The host the connection is opened to."""
        return self.connect_to or self.host

    @property
    def authority(self) -> str:
        """``host:port`` as it stands in a URL, IPv6 in brackets."""
        return join_host_port(self.host, self.port)

    def __str__(self) -> str:
        return join_host_port(self.dialled, self.port)


def join_host_port(host: str, port: int) -> str:
    """``host:port`` with an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def parse_endpoint(text: str, default_port: int) -> Endpoint:
    """Read ``HOST``, ``HOST:PORT``, ``[IPV6]`` or ``[IPV6]:PORT``.

    Raises:
        ValueError: with a sentence for the user when ``text`` is none of these.
    """
    example = "write HOST, HOST:PORT, or [IPV6]:PORT"
    if "://" in text or "/" in text:
        msg = f"{text!r} is not an address: {example}, without a scheme or a path"
        raise ValueError(msg)
    if text.startswith("["):
        host, closed, rest = text[1:].partition("]")
        if not closed or (rest and not rest.startswith(":")):
            msg = f"{text!r} is not an address: {example}"
            raise ValueError(msg)
        port_text = rest.removeprefix(":") if rest else None
    elif text.count(":") > 1:
        host, port_text = text, None
    else:
        host, colon, after = text.partition(":")
        port_text = after if colon else None
    if not host or any(character.isspace() for character in host):
        msg = f"{text!r} names no host: {example}"
        raise ValueError(msg)
    if port_text is None:
        return Endpoint(host, default_port)
    if not (port_text.isascii() and port_text.isdigit() and 1 <= int(port_text) <= 65535):
        msg = f"{port_text!r} in {text!r} is not a port: write a number from 1 to 65535"
        raise ValueError(msg)
    return Endpoint(host, int(port_text))
