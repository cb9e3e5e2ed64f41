"""Finds the cause of a failure: probes each layer, lowest first, until one fails."""

import ipaddress
import os

from kiteway.milvus.verify.errors import grpc_status, text
from kiteway.milvus.verify.explain import (
    explain_balancer,
    explain_call,
    explain_milvus,
    explain_status,
    explain_tcp,
    explain_tls,
    explain_tls_expected,
)
from kiteway.milvus.verify.report import Failure, FailureReason
from kiteway.milvus.verify.session import WrongAnswerError
from kiteway.milvus.verify.target import Target
from kiteway.probe import TlsOptions, milvus
from kiteway.probe.own import NOT_ROUTED, PREFIX, own_sentence
from kiteway.probe.result import Reason
from kiteway.probe.tcp import probe_tcp
from kiteway.probe.tls import TlsResult, probe_tls

PROBE_LIMIT = 5.0
"""Seconds for the probe of one layer."""
_LAYERS = 4
_REFUSED_CERTIFICATE = frozenset(
    {Reason.UNKNOWN_CA, Reason.SELF_SIGNED, Reason.NAME_MISMATCH, Reason.EXPIRED, Reason.NOT_YET_VALID}
)
# gRPC reads these proxy variables, in lower case only (its doc/environment_variables.md); the probes use no proxy.
_PROXY_VARIABLES = ("grpc_proxy", "https_proxy", "http_proxy")
_PERMISSION_CODES = frozenset({1401})
"""Milvus's ``merr`` code for a missing privilege."""


async def diagnose(
    target: Target, step: str, error: Exception, *, timeout: float, found: Failure | None = None
) -> Failure:
    """Return one sentence that says why ``step`` failed.

    Args:
        target: the address and credentials.
        step: the step that failed.
        error: the exception that PyMilvus raised in this step.
        timeout: seconds for all probes together.
        found: what the probes found before the steps; None if they found nothing, or were not made.
    """
    if isinstance(error, WrongAnswerError):
        return Failure(
            FailureReason.WRONG_ANSWER,
            f"Milvus answers, but not correctly: {error}.",
            "If there is a balancer or a cache in front of Milvus, verify Milvus directly to see which of them gives this answer.",
        )
    if ":" in target.host:
        return Failure(
            FailureReason.SDK,
            f"PyMilvus does not accept the IPv6 address {target.host} as a host.",
            "Give a name that resolves to it, or an IPv4 address.",
        )
    if not step.startswith("connect") and not isinstance(error, TimeoutError) and grpc_status(error) is None:
        return explain_balancer(target, text(error)) or _refused(step, error)
    found = found or await probe_layers(target, limit=min(PROBE_LIMIT, timeout / _LAYERS))
    return found or _network_is_fine(target, step, error)


def behind_proxy() -> bool:
    """Return whether gRPC connects through a proxy, which the probes do not use."""
    return _proxy() is not None


def _proxy() -> str | None:
    return next((name for name in _PROXY_VARIABLES if os.environ.get(name)), None)


async def probe_layers(target: Target, *, limit: float) -> Failure | None:
    """The finding of the lowest layer that fails; None if Milvus's ``Connect`` succeeds.

    Args:
        target: the address and credentials.
        limit: seconds for each layer.
    """
    endpoint = target.endpoint
    tcp = await probe_tcp(endpoint, timeout=limit)
    if tcp.failure is not None:
        return explain_tcp(target, tcp.failure)
    if target.tls is not None:
        seen = await probe_tls(endpoint, target.tls, timeout=limit)
        failure = explain_tls(target, seen)
        if failure is not None:
            return await _unrouted(target, seen, limit=limit) or failure
    answer = await milvus.connect(endpoint, tls=target.tls, token=target.token, timeout=limit)
    if target.tls is None and answer.call.failure is not None:
        seen = await probe_tls(endpoint, TlsOptions(verify=False), timeout=limit)
        refused = seen.failure.reason if seen.failure else None
        if seen.version is not None or refused is Reason.CLIENT_CERTIFICATE_REQUIRED:
            return explain_tls_expected(target)
    return explain_call(target, answer)


async def _unrouted(target: Target, seen: TlsResult, *, limit: float) -> Failure | None:
    """
    Return the failure that Kiteway routes no such host; None if it routes it, or another server answers.

    For a host that it does not route, Kiteway presents a certificate of another host, so the certificate is not what is wrong.
    The request has no credentials, because the server is not authenticated. With an address in place of a name the certificate
    says more: it has the names.
    """
    refused = seen.failure is not None and seen.failure.reason in _REFUSED_CERTIFICATE
    if not refused or _is_address(target.name):
        return None
    unverified = TlsOptions(server_name=target.server_name, verify=False)
    answer = await milvus.connect(target.endpoint, tls=unverified, timeout=limit)
    return explain_balancer(target, f"{PREFIX}{answer.balancer}.") if answer.balancer.startswith(NOT_ROUTED) else None


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _refused(step: str, error: Exception) -> Failure:
    """Milvus refused a step after the connection was established."""
    if getattr(error, "code", None) in _PERMISSION_CODES:
        return _no_permission(step, text(error))
    return explain_milvus(text(error), step)


def _no_permission(step: str, message: str) -> Failure:
    return Failure(
        FailureReason.PERMISSION,
        f"The token may connect but not do the step {step}: {message.rstrip('.')}.",
        "Verify with a user who may create, write, read and drop a collection.",
    )


def _network_is_fine(target: Target, step: str, error: Exception) -> Failure:
    """The probes reach Milvus, but PyMilvus does not."""
    status = grpc_status(error)
    proxy = _proxy()
    if proxy is not None and step.startswith("connect"):
        return Failure(
            FailureReason.HTTP_PROXY,
            f"{target.endpoint} answers, but PyMilvus goes through the proxy in ${proxy} and does not reach it.",
            f"Add {target.host} to no_proxy, or unset {proxy}.",
        )
    if isinstance(error, TimeoutError):
        return Failure(
            FailureReason.TIMEOUT,
            f"Milvus can be reached, but the step {step} did not end in time.",
            "Look at the load and the health of Milvus; give more time by --timeout.",
        )
    if status is None:
        return Failure(
            FailureReason.SDK,
            f"{target.endpoint} answers, but PyMilvus refuses at {step}: {text(error)}.",
            "Check the arguments against PyMilvus's own limits.",
        )
    name, details = status
    if name == "PERMISSION_DENIED" and not own_sentence(details):
        return _no_permission(step, details)
    return explain_status(target, name, details)
