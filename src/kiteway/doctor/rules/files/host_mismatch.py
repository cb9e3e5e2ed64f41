"""Hosts and the names in certificates."""

from __future__ import annotations

from kiteway.diagnostics import Severity
from kiteway.doctor.by_diagnostics import rule_of_reasons
from kiteway.resources import Ingress

RULE = rule_of_reasons(
    "HOST_MISMATCH",
    title="Hosts and the names in certificates",
    why="A client refuses a certificate that is not for the requested host; for this reason the guide needs server_name (trap G13).",
    reasons=frozenset({"HostNotCovered", "TLSHostsIgnored"}),
    kinds=(Ingress,),
    when_passed="every host that is served over TLS is in a certificate.",
    severity=Severity.WARNING,
)
