"""
Where Envoy exports traces and the access log: a collector that takes OpenTelemetry's protocol (OTLP) over HTTP.

HTTP, not gRPC: every collector takes both, and the HTTP status of each export is one of Envoy's statistics, so that Kiteway
can say that exports fail, and why.
"""

from __future__ import annotations

import ipaddress
import re
import ssl
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from kiteway.files import read_secret

CLUSTER = "otlp"
"""The name of the collector's cluster; names of pools have slashes."""

_PORT = 4318
"""The default port of OTLP over HTTP, with and without TLS (OpenTelemetry Protocol Specification, OTLP/HTTP Default Port)."""
_TOKEN_BYTES_MOST = 16 * 1024
_NAME = re.compile(r"[A-Za-z0-9_.-]+")
"""The characters of a name in DNS, as Services and hosts have it."""
_PATH = re.compile(r"[!-~]*")
"""Visible ASCII; other characters are written as %XX (RFC 3986, section 2.1)."""


@dataclass(frozen=True, slots=True)
class OtlpSettings:
    """
    A collector, and what it gets.

    Attributes:
        host: its address or name.
        port: its port.
        path: what comes before ``/v1/traces`` and ``/v1/logs`` in the path of its URLs; empty or ``/...`` without a slash
            at the end.
        ca: the file with the CAs that its certificate is verified against; None: the connection has no TLS.
        token_file: a file with a token that each export carries as ``authorization: Bearer ...``; Envoy reads it again when
            its folder changes. None: no token.
        sampling: percent of the calls without a sampled parent span that are traced, 0 to 100. A call with a parent span is
            traced if the parent is sampled.
        logs: whether the access log is exported too.
        instance: the name of this instance among others, for example a Pod's.
    """

    host: str
    port: int
    path: str = ""
    ca: Path | None = None
    token_file: Path | None = None
    sampling: float = 1.0
    logs: bool = False
    instance: str = ""

    @property
    def url(self) -> str:
        """Return the URL that the paths of the signals are appended to."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.ca else 'http'}://{host}:{self.port}{self.path}"

    @property
    def is_address(self) -> bool:
        """Return whether ``host`` is an IP address."""
        return is_address(self.host)


def is_address(host: str) -> bool:
    """Return whether ``host`` is an IP address."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def parse_otlp_endpoint(
    url: str, *, sampling: float, logs: bool, ca: Path | None, token_file: Path | None, instance: str
) -> OtlpSettings:
    """
    Read the options of a collector. ``url`` is ``http[s]://HOST[:PORT][/PATH]``.

    Raises:
        ValueError: a value is invalid; the message says why.
    """
    # Before any message that repeats the URL.
    if "@" in url:
        raise ValueError(
            "--otlp-endpoint has credentials in it, which every user of this machine can see: write the token into a file, "
            "and name it with --otlp-token-file"
        )
    shown = re.split("[?#]", url)[0]  # a query can be a token
    form = f'"{shown}" of --otlp-endpoint is not http://HOST[:PORT] or https://HOST[:PORT], e.g. http://127.0.0.1:4318'
    try:
        parts = urlsplit(url)
        port = _PORT if parts.port is None else parts.port
    except ValueError:
        raise ValueError(form) from None
    if parts.scheme not in {"http", "https"} or not parts.hostname or not port or parts.query or parts.fragment:
        raise ValueError(form)
    if not (is_address(parts.hostname) or _NAME.fullmatch(parts.hostname)) or not _PATH.fullmatch(parts.path):
        raise ValueError(form)
    tls = parts.scheme == "https"
    if ca is not None and not tls:
        raise ValueError("--otlp-ca is for https; --otlp-endpoint begins with http")
    for option, file in (("--otlp-ca", ca), ("--otlp-token-file", token_file)):
        if file is not None and not file.is_file():
            raise ValueError(f"there is no file {file}, which {option} names")
    if token_file is not None:
        _check_token(token_file)
    return OtlpSettings(
        host=parts.hostname,
        port=port,
        path=parts.path.rstrip("/"),
        ca=(ca.absolute() if ca else _public_cas()) if tls else None,
        token_file=token_file.absolute() if token_file else None,
        sampling=sampling,
        logs=logs,
        instance=instance,
    )


def _check_token(file: Path) -> None:
    """Check that Envoy can send the file's content in a header; Envoy leaves out white space around it."""
    token = read_secret(file, "the token", "--otlp-token-file", _TOKEN_BYTES_MOST).strip()
    if len(token) > _TOKEN_BYTES_MOST:
        raise ValueError(f"{file} of --otlp-token-file has more than {_TOKEN_BYTES_MOST} bytes, which is no token")
    if not token or any(byte <= 0x20 or byte >= 0x7F for byte in token):
        raise ValueError(f"{file} of --otlp-token-file must have one token: printable ASCII without spaces")


def _public_cas() -> Path:
    paths = ssl.get_default_verify_paths()
    for name in (paths.cafile, paths.openssl_cafile):
        if name and Path(name).is_file():
            return Path(name)
    raise ValueError("this machine has no file of public CAs, so --otlp-ca must name one for https")
