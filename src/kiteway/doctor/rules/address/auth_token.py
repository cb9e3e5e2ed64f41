"""Whether Milvus accepts the token."""

from __future__ import annotations

from collections.abc import Iterator

from kiteway.doctor.address import AddressFacts
from kiteway.doctor.rule import Finding, Rule, Scope, failed, passed, skipped
from kiteway.probe.grpc import STATUS_NAMES

_UNAUTHENTICATED = STATUS_NAMES.index("UNAUTHENTICATED")


def _check(facts: AddressFacts) -> Iterator[Finding]:
    if facts.target.token is None:
        yield skipped(facts.ref, "no token was given.")
    elif facts.version is None:
        yield skipped(facts.ref, "no connection.")
    elif not facts.trusted:
        yield skipped(facts.ref, "the token was not sent, because the certificate is not valid for this name.")
    elif facts.version.call.status == _UNAUTHENTICATED:
        yield failed(
            facts.ref,
            f"Milvus refuses the token: {facts.version.call.message or 'UNAUTHENTICATED'}.",
            "Give user:password or an API key of a user of this Milvus.",
        )
    elif facts.version.call.ok:
        yield passed(facts.ref, "Milvus accepts the token.")
    else:
        yield skipped(facts.ref, "the calls do not reach Milvus; see GRPC_DIRECT.")


RULE = Rule(
    "AUTH_TOKEN",
    "The given token",
    "Milvus expects base64 of user:password in the metadata, without Basic or Bearer; a balancer that rewrites "
    "authorization breaks it.",
    Scope.ADDRESS,
    _check,
)
