"""Whether Milvus answers."""

from __future__ import annotations

from collections.abc import Iterator

from kiteway.doctor.address import AddressFacts
from kiteway.doctor.rule import Finding, Rule, Scope, failed, passed, skipped
from kiteway.probe.grpc import STATUS_NAMES, GrpcResult
from kiteway.probe.milvus import MilvusResult
from kiteway.probe.own import NO_ENDPOINT

_UNIMPLEMENTED = STATUS_NAMES.index("UNIMPLEMENTED")
_UNAUTHENTICATED = STATUS_NAMES.index("UNAUTHENTICATED")
_UNAVAILABLE = STATUS_NAMES.index("UNAVAILABLE")
_PERMISSION_DENIED = STATUS_NAMES.index("PERMISSION_DENIED")


def _check(facts: AddressFacts) -> Iterator[Finding]:
    if facts.speaks_tls:
        yield skipped(facts.ref, "the server speaks TLS: see TLS_HANDSHAKE.")
        return
    if facts.connect is None or facts.version is None or facts.serving is None:
        yield skipped(facts.ref, "no connection for a gRPC call was made.")
        return
    _, health = facts.serving
    calls = {"Connect": facts.connect, "GetVersion": facts.version, "grpc.health.v1.Health/Check": MilvusResult(health)}
    for name, answer in calls.items():
        wrong = _wrong(name, answer)
        if wrong is not None:
            message, fix = wrong
            yield failed(facts.ref, message, fix)
            return
    if facts.connect.call.status == _UNAUTHENTICATED:
        yield passed(facts.ref, "Milvus answers and asks for credentials.")
    else:
        yield passed(facts.ref, f"Milvus {facts.version.version or '(version unknown)'} answers.")


def _wrong(name: str, answer: MilvusResult) -> tuple[str, str] | None:
    call = answer.call
    if answer.balancer:
        fix = "Connect by a host and path that an Ingress has a rule for; `kiteway status` where it runs lists them."
        if call.status == _UNAVAILABLE or answer.balancer.startswith(NO_ENDPOINT):
            fix = "The route is there: see that Milvus runs, and whether it and its Service agree about TLS."
        return f"{name} is answered by Kiteway itself, without Milvus: {answer.balancer}.", fix
    if call.redirected:
        fix = "Give the address and port that it redirects to, without --plaintext."
        return f"{name} is redirected to {call.location}, which no gRPC client follows.", fix
    if call.failure is not None:
        return f"{name}: {call.failure.detail}{_said_by(call)}.", "Check that the route leads to Milvus's gRPC port."
    if call.status == _UNAUTHENTICATED or (call.status == _UNIMPLEMENTED and name.startswith("grpc.health")):
        return None
    if call.status == _PERMISSION_DENIED:
        return f"{name} is refused: {call.message or 'PERMISSION_DENIED'}.", "Connect by a host that is routed."
    if not call.ok:
        answered = f"{call.status_name}: {call.message}" if call.message else str(call.status_name)
        return f"{name} is answered with {answered}.", "Check that the route leads to Milvus, and that Milvus is ready."
    if answer.code:
        answered = answer.reason or f"code {answer.code}"
        return f"{name} is answered, but Milvus says: {answered}.", "Wait until Milvus is ready, or look into its logs."
    return None


def _said_by(call: GrpcResult) -> str:
    return f" (server: {call.server})" if call.server else ""


RULE = Rule(
    "GRPC_DIRECT",
    "Connect, GetVersion and grpc.health.v1.Health/Check",
    "PyMilvus's first call is Connect; PyMilvus reports a plain 404 as an answer to it as \"sdk is incompatible with "
    "server\" (failure F12). Milvus's own refusals are inside answers with the gRPC status OK (failure F5).",
    Scope.ADDRESS,
    _check,
)
