"""Whether Milvus answers calls without credentials."""

from __future__ import annotations

from collections.abc import Iterator

from kiteway.diagnostics import Severity
from kiteway.doctor.address import AddressFacts
from kiteway.doctor.rule import Finding, Rule, Scope, failed, passed, skipped
from kiteway.probe.grpc import STATUS_NAMES

_UNAUTHENTICATED = STATUS_NAMES.index("UNAUTHENTICATED")


def _check(facts: AddressFacts) -> Iterator[Finding]:
    if facts.anonymous is None or facts.wrong_token is None:
        yield skipped(facts.ref, "no connection.")
    elif facts.anonymous.ok:
        yield failed(
            facts.ref,
            "Milvus answers calls without credentials: anyone who reaches the address can read and drop collections.",
            "Set common.security.authorizationEnabled to true in Milvus.",
        )
    elif facts.wrong_token.ok:
        yield failed(
            facts.ref,
            "a call with a wrong password is answered.",
            "Find the proxy that adds credentials: the client's own must reach Milvus unchanged.",
            severity=Severity.ERROR,
        )
    elif facts.anonymous.call.status == _UNAUTHENTICATED:
        yield passed(facts.ref, "calls without credentials, and with wrong ones, are refused.")
    else:
        yield skipped(facts.ref, "the calls do not reach Milvus; see GRPC_DIRECT.")


RULE = Rule(
    "AUTH_OPEN",
    "Calls without credentials",
    "Milvus asks for none unless authorizationEnabled is true, and the guide exposes it on a public address without a "
    "warning.",
    Scope.ADDRESS,
    _check,
    Severity.WARNING,
)
