"""Why an issuance failed, in GKE's words."""

from __future__ import annotations

import datetime as dt
import enum
from dataclasses import dataclass, field
from typing import Final

from kiteway.report.certificates import DomainStatus


class Kind(enum.StrEnum):
    """Why there is no certificate yet. The first four are GKE's status words for a domain."""

    NOT_VISIBLE = "FailedNotVisible"
    CAA_CHECKING = "FailedCaaChecking"
    CAA_FORBIDDEN = "FailedCaaForbidden"
    RATE_LIMITED = "FailedRateLimited"
    REFUSED = "Refused"
    """The CA refuses the name or the account; waiting does not change that."""
    UNAVAILABLE = "CaUnavailable"
    """The CA cannot be reached, or has an internal error."""
    ACCOUNT_GONE = "AccountGone"
    """The CA does not know the account any more."""


DOMAIN_KINDS: Final = {
    Kind.NOT_VISIBLE: DomainStatus.FAILED_NOT_VISIBLE,
    Kind.CAA_CHECKING: DomainStatus.FAILED_CAA_CHECKING,
    Kind.CAA_FORBIDDEN: DomainStatus.FAILED_CAA_FORBIDDEN,
    Kind.RATE_LIMITED: DomainStatus.FAILED_RATE_LIMITED,
}
"""The kinds that are GKE's status of a domain, and that status."""


@dataclass(frozen=True, slots=True)
class DomainProblem:
    """
    The problem of one name.

    Attributes:
        kind: what it is.
        message: a sentence for people.
    """

    kind: Kind
    message: str


@dataclass(slots=True)
class AcmeError(Exception):
    """
    An attempt that failed.

    Attributes:
        kind: what it is.
        message: what is wrong, for people.
        fix: what to do; empty when the problem passes by itself.
        domains: the problem of each name, where the failure is about names.
        retry_at: the CA asks for no attempt before this time.
        asked: whether the CA was asked to validate something; such failures count against its limits.
    """

    kind: Kind
    message: str
    fix: str = ""
    domains: dict[str, DomainProblem] = field(default_factory=dict)
    retry_at: dt.datetime | None = None
    asked: bool = False

    def __str__(self) -> str:
        return f"{self.kind}: {self.message}"
