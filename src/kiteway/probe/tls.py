"""The TLS handshake: certificate, names, version, ALPN, and why it failed."""

import asyncio
import contextlib
import re
import ssl
from dataclasses import dataclass, replace

from kiteway.probe.certificate import CertificateFacts, read_certificate
from kiteway.probe.result import (
    DEFAULT_TIMEOUT,
    Endpoint,
    ProbeError,
    ProbeFailure,
    Reason,
)
from kiteway.probe.trust import TlsOptions
from kiteway.probe.wire import Wire, open_wire

_ALERT_WAIT = 0.5
"""Seconds to wait for a TLS 1.3 server's refusal of a client that has no certificate."""

_H2_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"

# OpenSSL's X509_V_ERR_* numbers (x509_vfy.h).
_VERIFY_REASONS = {
    9: Reason.NOT_YET_VALID,
    10: Reason.EXPIRED,
    18: Reason.SELF_SIGNED,
    19: Reason.UNKNOWN_CA,
    20: Reason.UNKNOWN_CA,
    21: Reason.UNKNOWN_CA,
    62: Reason.NAME_MISMATCH,
    64: Reason.NAME_MISMATCH,
}

# Words in OpenSSL's reason strings for the alerts of RFC 8446 section 6.
_ALERTS = (
    # An alert about a certificate is about the client's: the server's is judged on this side.
    (
        re.compile("CERTIFICATE_REQUIRED|ALERT_(.*CERTIFICATE|UNKNOWN_CA)"),
        Reason.CLIENT_CERTIFICATE_REQUIRED,
    ),
    (re.compile("UNRECOGNIZED_NAME"), Reason.NAME_REFUSED),
    (re.compile("PROTOCOL_VERSION|UNSUPPORTED_PROTOCOL"), Reason.TLS_VERSION),
    (
        re.compile("WRONG_VERSION_NUMBER|HTTP_REQUEST|PACKET_LENGTH|RECORD_"),
        Reason.NOT_TLS,
    ),
)


@dataclass(frozen=True, slots=True)
class TlsResult:
    """The facts of the handshake; they are filled in also if the certificate was refused."""

    version: str | None = None
    """``TLSv1.2`` or ``TLSv1.3``."""
    alpn: str | None = None
    """The protocol the server chose of ``h2`` and ``http/1.1``; None if it chose none."""
    chain: tuple[CertificateFacts, ...] = ()
    """As sent, the server's own certificate first."""
    plaintext: str | None = None
    """What a server without TLS speaks (``HTTP/1.x``, ``HTTP/2``), when it could be seen."""
    failure: ProbeFailure | None = None

    @property
    def server_names(self) -> tuple[str, ...]:
        """The names the server's certificate is for."""
        return self.chain[0].server_names if self.chain else ()


async def probe_tls(
    endpoint: Endpoint,
    options: TlsOptions | None = None,
    *,
    timeout: float = DEFAULT_TIMEOUT,
) -> TlsResult:
    """Do the handshake with ``options``; if the certificate is refused, fetch it without verification.

    Args:
        endpoint: where.
        options: name, trust and client certificate.
        timeout: seconds for each of at most two connections.

    Raises:
        TrustFileError: a file in ``options`` cannot be used.
    """
    options = options or TlsOptions()
    result = await _handshake(endpoint, options, timeout=timeout)
    if result.failure is None or result.failure.reason not in _VERIFY_REASONS.values():
        return result
    seen = await _handshake(endpoint, replace(options, verify=False), timeout=timeout)
    return replace(seen, failure=_with_facts(result.failure, seen))


async def start_tls(wire: Wire, context: ssl.SSLContext, name: str, place: str) -> None:
    """Do the handshake over an open connection with the server name ``name``; ``place`` is for error texts.

    Raises:
        ProbeError: the handshake failed, with its reason.
    """
    try:
        await wire.start_tls(context, name)
    except ssl.SSLCertVerificationError as error:
        reason = _VERIFY_REASONS.get(error.verify_code, Reason.UNKNOWN_CA)
        raise ProbeError(reason, _verify_detail(reason, name, error)) from None
    except ssl.SSLError as error:
        raise classified(wire, error) from None
    except (EOFError, ConnectionError):
        if _plaintext(wire.first_bytes):
            raise _not_tls(wire.first_bytes) from None
        raise ProbeError(
            Reason.HANDSHAKE_CLOSED,
            f"{place} closed the connection during the TLS handshake",
        ) from None
    except UnicodeError:
        raise ProbeError(Reason.NAME_MISMATCH, f"{name!r} is not a valid server name") from None


async def _handshake(endpoint: Endpoint, options: TlsOptions, *, timeout: float) -> TlsResult:
    result = TlsResult()
    wire: Wire | None = None
    context = options.context()
    try:
        async with (
            asyncio.timeout(timeout),
            open_wire(endpoint, timeout=timeout) as wire,
        ):
            await start_tls(wire, context, options.name(endpoint), str(endpoint))
            result = _facts(wire)
            await _await_refusal(wire, result)
    except ProbeError as error:
        plaintext = _plaintext(wire.first_bytes) if wire else None
        return replace(result, plaintext=plaintext, failure=error.failure)
    except TimeoutError:
        detail = f"{endpoint} accepted TCP but did not finish a TLS handshake in {timeout:g} s"
        return TlsResult(failure=ProbeFailure(Reason.HANDSHAKE_TIMEOUT, detail))
    except OSError as error:
        detail = f"the connection to {endpoint} broke: {error.strerror or error}"
        return replace(result, failure=ProbeFailure(Reason.HANDSHAKE_FAILED, detail))
    return result


async def _await_refusal(wire: Wire, result: TlsResult) -> None:
    """Wait for a refusal: in TLS 1.3 the server judges the client's certificate after the client's handshake is done."""
    try:
        if result.alpn == "h2":
            # If the server has closed already, its last bytes are still to be read.
            with contextlib.suppress(OSError):
                await wire.send(_H2_PREFACE)
        async with asyncio.timeout(_ALERT_WAIT):
            await wire.receive()
    except TimeoutError:
        # No answer means acceptance: a refusal would have come with the next flight.
        return
    except ssl.SSLError as error:
        raise classified(wire, error) from None


def _facts(wire: Wire) -> TlsResult:
    tls = wire.tls
    if tls is None:
        return TlsResult()
    return TlsResult(
        version=tls.version(),
        alpn=tls.selected_alpn_protocol(),
        chain=tuple(read_certificate(der) for der in _sent_chain(tls)),
    )


def _sent_chain(tls: ssl.SSLObject) -> list[bytes]:
    public = getattr(tls, "get_unverified_chain", None)
    if public is not None:  # Python 3.13
        return list(public())
    # Before 3.13 only the inner object has the chain; the public API has the leaf only.
    inner = getattr(tls, "_sslobj", None)
    if inner is not None and hasattr(inner, "get_unverified_chain"):
        return [ssl.PEM_cert_to_DER_cert(c.public_bytes()) for c in inner.get_unverified_chain()]
    leaf = tls.getpeercert(binary_form=True)
    return [leaf] if leaf else []


def _plaintext(first: bytes) -> str | None:
    if first.startswith(b"HTTP/1"):
        return "HTTP/1.x"
    # A frame header of type SETTINGS on stream 0 (RFC 9113 section 4.1), at once after the accept.
    if len(first) >= 9 and first[0] == 0 and first[3] == 4 and first[5:9] == b"\0\0\0\0":
        return "HTTP/2"
    return None


def _not_tls(first: bytes) -> ProbeError:
    spoken = _plaintext(first)
    tail = f" ({spoken} in plaintext)" if spoken else ""
    return ProbeError(Reason.NOT_TLS, f"the server does not speak TLS on this port{tail}")


def classified(wire: Wire, error: ssl.SSLError) -> ProbeError:
    """Tell TLS alerts from plaintext answers."""
    text = error.reason or str(error)
    # A TLS record starts with its content type: 20 to 23 (RFC 8446 section 5.1).
    if wire.first_bytes and not 20 <= wire.first_bytes[0] <= 23:
        return _not_tls(wire.first_bytes)
    for pattern, reason in _ALERTS:
        if pattern.search(text.upper().replace(" ", "_")):
            return ProbeError(reason, _alert_detail(reason, text))
    return ProbeError(Reason.HANDSHAKE_FAILED, f"the TLS handshake failed: {text}")


def _alert_detail(reason: Reason, text: str) -> str:
    match reason:
        case Reason.CLIENT_CERTIFICATE_REQUIRED:
            return "the server asks for a client certificate and got none it accepts"
        case Reason.NAME_REFUSED:
            return "the server has no certificate for this name"
        case Reason.TLS_VERSION:
            return "the server and the client share no TLS version (1.2 and 1.3 are offered)"
        case _:
            return f"the server does not speak TLS on this port ({text})"


def _verify_detail(reason: Reason, name: str, error: ssl.SSLCertVerificationError) -> str:
    match reason:
        case Reason.NOT_YET_VALID:
            return "the certificate is not valid yet"
        case Reason.EXPIRED:
            return "the certificate has expired"
        case Reason.SELF_SIGNED:
            return "the certificate is self-signed and not in the trusted file"
        case Reason.NAME_MISMATCH:
            return f"the certificate is not for {name}"
        case _:
            return f"the certificate is not signed by a trusted CA ({error.verify_message})"


def _with_facts(failure: ProbeFailure, seen: TlsResult) -> ProbeFailure:
    if not seen.chain:
        return failure
    leaf = seen.chain[0]
    match failure.reason:
        case Reason.NAME_MISMATCH:
            names = ", ".join(leaf.server_names) or "no name at all"
            extra = f"it is for {names}"
        case Reason.EXPIRED:
            expired = min(seen.chain, key=lambda one: one.not_after)
            extra = f"{expired.subject} was valid until {expired.not_after:%Y-%m-%d %H:%M} UTC"
        case Reason.NOT_YET_VALID:
            future = max(seen.chain, key=lambda one: one.not_before)
            extra = f"{future.subject} is valid from {future.not_before:%Y-%m-%d %H:%M} UTC"
        case _:
            extra = f"issuer {leaf.issuer}"
    return replace(failure, detail=f"{failure.detail}: {extra}")
