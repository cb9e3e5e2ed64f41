"""Turns a probe's result into one sentence and a fix. Pure."""

from collections.abc import Callable

from kiteway.milvus.verify.report import Failure, FailureReason
from kiteway.milvus.verify.target import Target
from kiteway.probe.grpc import GrpcResult
from kiteway.probe.milvus import MilvusResult
from kiteway.probe.own import NO_ENDPOINT, NOT_ROUTED, own_sentence
from kiteway.probe.result import ProbeFailure, Reason
from kiteway.probe.tls import TlsResult

_DNS = frozenset({Reason.NAME_NOT_FOUND, Reason.RESOLVER_FAILED})
_BELOW_TLS = _DNS | {
    Reason.CONNECTION_REFUSED,
    Reason.CONNECT_TIMEOUT,
    Reason.UNREACHABLE,
    Reason.CONNECTION_FAILED,
}
_GATEWAY_ERRORS = frozenset({502, 503, 504})
_PORTS = "(443 on GKE, 8443 by default here)"
_MOST_NAMES = 5
"""The names of a certificate that a sentence lists."""


def explain_tcp(target: Target, failure: ProbeFailure) -> Failure:
    """No TCP connection."""
    if failure.reason in _DNS:
        return Failure(
            FailureReason.DNS,
            f"The name {target.host} cannot be resolved: {failure.detail}.",
            "Check the spelling and the DNS record. Until it exists, give the balancer's address "
            "as HOST and the name by --server-name.",
        )
    fixes = {
        Reason.CONNECTION_REFUSED: (
            f"Check that the balancer is running and that {target.port} is its port "
            "(443 on GKE, 8443 by default here; 19530 is Milvus itself)."
        ),
        Reason.CONNECT_TIMEOUT: (
            "A firewall drops the packets, or the address is not the balancer's: compare it with "
            "the Ingress's ADDRESS and open the port."
        ),
        Reason.UNREACHABLE: "There is no route to that address from here: check it and the network.",
    }
    fix = fixes.get(failure.reason, "Check the address, the port and the network between.")
    return Failure(FailureReason.TCP, f"{_sentence(failure.detail)}.", fix)


def explain_tls(target: Target, seen: TlsResult) -> Failure | None:
    """The handshake failed, or chose no ``h2``; None if neither."""
    if seen.failure is None:
        return None if seen.alpn == "h2" else _no_alpn(target, seen)
    if seen.failure.reason in _BELOW_TLS:
        return explain_tcp(target, seen.failure)
    explain = _TLS.get(seen.failure.reason)
    if explain is not None:
        return explain(target, seen)
    return Failure(
        FailureReason.TLS,
        f"{_sentence(seen.failure.detail)}.",
        _TLS_FIXES.get(
            seen.failure.reason,
            "Check that this is the TLS port of the balancer or of Milvus.",
        ),
    )


def _wrong_name(target: Target, seen: TlsResult) -> Failure:
    names = ", ".join(seen.server_names[:_MOST_NAMES])
    if len(seen.server_names) > _MOST_NAMES:
        names += f" and {len(seen.server_names) - _MOST_NAMES} more"
    make = f"make a certificate with {target.name} among its subject alternative names."
    return Failure(
        FailureReason.CERTIFICATE_NAME,
        f"The certificate of {target.endpoint} is not for {target.name}: it is for {names or 'no name at all'}.",
        f"Give the certificate's name by --server-name {seen.server_names[0]}, or {make}" if names else _sentence(make),
    )


def _out_of_date(_target: Target, seen: TlsResult) -> Failure:
    expired = seen.failure is not None and seen.failure.reason is Reason.EXPIRED
    return Failure(
        FailureReason.CERTIFICATE,
        f"{_sentence(seen.failure.detail if seen.failure else '')}.",
        "Renew the certificate of the server." if expired else "Check the clocks of both machines, or wait.",
    )


def _untrusted(target: Target, seen: TlsResult) -> Failure:
    issuer = seen.chain[-1].issuer if seen.chain else "unknown"
    if target.ca is not None:
        return Failure(
            FailureReason.CERTIFICATE,
            f"The certificate of {target.endpoint} is not signed by the one in {target.ca}: its issuer is {issuer}.",
            "Give the CA or the certificate that this server really uses by --ca.",
        )
    return Failure(
        FailureReason.CERTIFICATE,
        f"The certificate of {target.endpoint} is not signed by a public CA that gRPC trusts: its issuer is {issuer}.",
        "If the certificate is your own, give its file by --ca (PyMilvus: server_pem_path).",
    )


def _client_certificate(target: Target, _seen: TlsResult) -> Failure:
    return Failure(
        FailureReason.CLIENT_CERTIFICATE,
        f"{target.endpoint} demands a client certificate for {target.name} and got none that it accepts.",
        "Give one that its CA has signed by --client-cert and --client-key. An Ingress with kiteway.io/client-ca-secret demands "
        "it, or Milvus with tlsMode: 2.",
    )


def _not_tls(target: Target, seen: TlsResult) -> Failure:
    spoken = f"{seen.plaintext} in plaintext" if seen.plaintext else "no TLS"
    return Failure(
        FailureReason.TLS,
        f"{target.endpoint} speaks {spoken} on this port, but the client was told to use TLS.",
        f"Give the HTTPS port {_PORTS}. If this is Milvus itself, or a port without TLS on purpose, add --plaintext.",
    )


def _broken_off(target: Target, seen: TlsResult) -> Failure:
    detail = seen.failure.detail if seen.failure else ""
    return Failure(
        FailureReason.TLS,
        f"{target.endpoint} ended the TLS handshake for the name {target.name}: {detail}.",
        "It may have no certificate for that name, because no Ingress has this host: give the host of a rule by --server-name.",
    )


def _mute(target: Target, _seen: TlsResult) -> Failure:
    return Failure(
        FailureReason.TLS,
        f"{target.endpoint} accepts connections and finishes no TLS handshake.",
        "Check the port: a server of another protocol waits there, or a proxy on the way whose own server is away.",
    )


_TLS: dict[Reason, Callable[[Target, TlsResult], Failure]] = {
    Reason.NAME_MISMATCH: _wrong_name,
    Reason.EXPIRED: _out_of_date,
    Reason.NOT_YET_VALID: _out_of_date,
    Reason.UNKNOWN_CA: _untrusted,
    Reason.SELF_SIGNED: _untrusted,
    Reason.CLIENT_CERTIFICATE_REQUIRED: _client_certificate,
    Reason.HANDSHAKE_TIMEOUT: _mute,
    Reason.NOT_TLS: _not_tls,
    Reason.NAME_REFUSED: _broken_off,
    Reason.HANDSHAKE_CLOSED: _broken_off,
}
_TLS_FIXES = {Reason.TLS_VERSION: "Allow TLS 1.2 or 1.3 on the server."}


def _no_alpn(target: Target, seen: TlsResult) -> Failure:
    chosen = f"chose {seen.alpn}" if seen.alpn else "chose no protocol"
    return Failure(
        FailureReason.ALPN,
        f"{target.endpoint} speaks TLS but {chosen} by ALPN; gRPC clients need h2.",
        "Turn on HTTP/2 (ALPN h2) on that TLS port, or give the port that has it.",
    )


def explain_tls_expected(target: Target) -> Failure:
    """The user asked for plaintext, but the server speaks TLS."""
    return Failure(
        FailureReason.TLS_EXPECTED,
        f"{target.endpoint} speaks TLS, but the client was told to go without.",
        "Leave out --plaintext (PyMilvus: secure=True or an https:// URI).",
    )


def explain_call(target: Target, answer: MilvusResult) -> Failure | None:
    """Explain why the answer to ``Connect`` is not one of Milvus; return None if it is."""
    call = answer.call
    if call.redirected and not call.balancer:
        return _redirected(target, call)
    if call.failure is not None:
        return _not_grpc(target, call, call.failure)
    if call.status != 0:
        return explain_status(target, call.status_name or "", call.message)
    if answer.balancer:
        # Connect is answered in Milvus's shape: PyMilvus shows the text of no gRPC status there.
        status = "UNAVAILABLE" if answer.balancer.startswith(NO_ENDPOINT) else "PERMISSION_DENIED"
        return explain_status(target, status, answer.reason)
    if answer.code:
        return explain_milvus(answer.reason or f"code {answer.code}")
    return None


def _not_grpc(target: Target, call: GrpcResult, failure: ProbeFailure) -> Failure:
    if not call.spoke and failure.reason is Reason.NO_ANSWER:
        return Failure(
            FailureReason.TIMEOUT,
            f"{target.endpoint} accepts connections and says nothing: no HTTP/2 came in time.",
            "Check the port: a server of another protocol waits there, or a proxy on the way whose own server is away.",
        )
    if failure.reason is not Reason.NOT_GRPC:
        timed_out = failure.reason is Reason.NO_ANSWER
        return Failure(
            FailureReason.TIMEOUT if timed_out else FailureReason.HTTP2,
            f"{target.endpoint} does not carry a gRPC call: {failure.detail}.",
            "The balancer accepted the call and its backend gave no answer: look at the backend's health."
            if timed_out
            else "Give the port where gRPC is served (443 at a balancer, 19530 at Milvus).",
        )
    if call.balancer:
        return _by_the_balancer(target, call.balancer, _BY_HTTP.get(call.http_status or 0, FailureReason.ROUTE))
    who = f"{call.server or 'a server that does not say its name'}"
    seen = f"HTTP {call.http_status} with {call.content_type or 'no content type'} from {who}"
    if call.http_status in _GATEWAY_ERRORS:
        return Failure(
            FailureReason.NO_HEALTHY_ENDPOINT,
            f"The balancer at {target.endpoint} has no backend that answers ({seen}).",
            "Check the health of the Milvus proxies behind it and the protocol it uses to them "
            "(TLS with HTTP/2 when Milvus runs with tlsMode: 1).",
        )
    if call.http_status == 404:
        return Failure(
            FailureReason.ROUTE,
            f"The balancer at {target.endpoint} routes {target.name} to no Milvus ({seen}).",
            "Use the host of the Ingress's rule as --server-name, and check the rule's path and "
            "that the route is gRPC's.",
        )
    if call.http_status in (401, 403):
        return Failure(
            FailureReason.AUTH,
            f"An access proxy in front of Milvus at {target.endpoint} refuses the call ({seen}).",
            "The proxy may be IAP, basic authentication or a list of addresses: it must allow gRPC clients.",
        )
    return Failure(
        FailureReason.NOT_MILVUS,
        f"The server at {target.endpoint} does not speak gRPC ({seen}).",
        "Give the address and port of the balancer or of Milvus.",
    )


def _redirected(target: Target, call: GrpcResult) -> Failure:
    return Failure(
        FailureReason.ROUTE,
        f"{target.endpoint} redirects the call to {call.location}, which no gRPC client follows.",
        f"Leave out --plaintext and give the HTTPS port {_PORTS}."
        if target.tls is None
        else "Give the address that it redirects to.",
    )


def explain_balancer(target: Target, message: str) -> Failure | None:
    """Explain one of Kiteway's own answers, in any form that PyMilvus gives it; return None for an answer of another server."""
    sentence = own_sentence(message)
    return _by_the_balancer(target, sentence, FailureReason.ROUTE) if sentence else None


def _by_the_balancer(target: Target, sentence: str, reason: FailureReason) -> Failure:
    return Failure(
        reason,
        f"Kiteway at {target.endpoint} answers by itself, without Milvus: {sentence}.",
        _of_route(sentence) if reason is FailureReason.ROUTE else _BY_KITEWAY.get(reason, _STATUS_SAYS),
    )


def _of_route(sentence: str) -> str:
    """Return what to do about an answer for a host or a path; the sentence itself has no word of the options."""
    if sentence.startswith(NOT_ROUTED):
        return "Give the host of a rule by --server-name; `kiteway status` on the machine of Kiteway lists them."
    if "plaintext" in sentence:
        return f"Leave out --plaintext and give the HTTPS port {_PORTS}."
    return _STATUS_SAYS


_STATUS_SAYS = "Run `kiteway status` on the machine of Kiteway: it says what is wrong, and what to do."


_BY_HTTP = {
    429: FailureReason.LIMITED,
    502: FailureReason.NO_HEALTHY_ENDPOINT,
    503: FailureReason.NO_HEALTHY_ENDPOINT,
    504: FailureReason.TIMEOUT,
}
_BY_KITEWAY = {
    FailureReason.NO_HEALTHY_ENDPOINT: (
        "Run `kiteway status` on the machine of Kiteway: it says whether Milvus is away, its health check fails, or the Service "
        "names another protocol (TLS or plaintext) than Milvus speaks."
    ),
    FailureReason.LIMITED: "Send fewer calls at a time, or try again later.",
    FailureReason.TIMEOUT: "Look at the load and the health of Milvus; give more time by --timeout.",
}


def explain_status(target: Target, status: str, message: str) -> Failure:
    """A gRPC status other than OK, by its name."""
    known = _STATUS.get(status)
    if sentence := own_sentence(message):
        return _by_the_balancer(target, sentence, known[0] if known else FailureReason.ROUTE)
    if known is None:
        return explain_milvus(": ".join(part for part in (status, message) if part))
    reason, what, fix = known
    token = "the token was not accepted" if target.token else "no token was given"
    sentence = what.format(address=target.endpoint, name=target.name, token=token)
    return Failure(reason, f"{sentence}: {message.rstrip('.')}." if message else f"{sentence}.", fix)


_STATUS = {
    "UNAUTHENTICATED": (
        FailureReason.AUTH,
        "Milvus requires credentials and {token}",
        "Give user:password or an API key by --token-file or KITEWAY_TOKEN.",
    ),
    "PERMISSION_DENIED": (
        FailureReason.ROUTE,
        "The call to {name} was refused before it reached Milvus",
        "Check that an Ingress routes this host to Milvus, and that no proxy in front of it forbids the call.",
    ),
    "UNIMPLEMENTED": (
        FailureReason.NOT_MILVUS,
        "A gRPC server answers at {address}, but it is not Milvus",
        "Check the route of this host, and that the port behind it is Milvus's 19530.",
    ),
    "UNAVAILABLE": (
        FailureReason.NO_HEALTHY_ENDPOINT,
        "The balancer at {address} has no healthy endpoint",
        "Check that the Milvus proxies run and that the balancer's health check passes (port 9091, /healthz).",
    ),
    "RESOURCE_EXHAUSTED": (
        FailureReason.LIMITED,
        "The call exceeds a limit",
        "Try again later, or raise the limit that the message names.",
    ),
    "DEADLINE_EXCEEDED": (
        FailureReason.TIMEOUT,
        "{address} did not answer the call in time",
        "Look at the load and the health of Milvus; give more time by --timeout.",
    ),
}


def explain_milvus(reason: str, step: str | None = None) -> Failure:
    """Return the failure for a call that Milvus itself refused; ``step`` is named in the message."""
    during = f" at {step}" if step else ""
    return Failure(
        FailureReason.MILVUS,
        f"Milvus can be reached, but answers{during}: {reason.rstrip('.')}.",
        "Look at Milvus's own log and health.",
    )


def _sentence(detail: str) -> str:
    """Begin a sentence, unless it begins with an address."""
    return detail if ":" in detail.partition(" ")[0] else detail[:1].upper() + detail[1:]
