"""Port 80 beside port 443."""

from __future__ import annotations

from kiteway.diagnostics import Severity
from kiteway.doctor.by_diagnostics import rule_of_reasons
from kiteway.resources import Ingress

RULE = rule_of_reasons(
    "ALLOW_HTTP_OPEN",
    title="Port 80 beside port 443",
    why='kubernetes.io/ingress.allow-http is true unless it says false; the guide only advises "always use 443" (trap G7). A client\'s credentials are merely base64 in the metadata of every call.',
    reasons=frozenset({"AllowHttpOpen", "AllowHttpUnparsable"}),
    kinds=(Ingress,),
    when_passed="port 80 is closed, redirects, or is all that it serves.",
    severity=Severity.WARNING,
)
