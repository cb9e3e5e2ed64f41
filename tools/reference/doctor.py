"""docs/reference/doctor.md: every rule of `kiteway doctor`."""

from __future__ import annotations

from kiteway.doctor import RULES, Scope
from tools.reference.markdown import GENERATED, plain

_INTRODUCTION = """
# The rules of kiteway doctor

`kiteway doctor -f PATH` checks files, `kiteway doctor HOST[:PORT]` a live address, and `kiteway doctor` alone this machine.
`kiteway doctor --cluster` checks a [live cluster](../how-to/diagnose-a-cluster.md), with the rules for files and addresses,
too. Each rule below is a check in the report, with the result PASSED, FAILED or SKIPPED; SKIPPED means that the rule could
not judge. A failure is an error or a warning, and only errors lead to exit status 1. The report has the format of GKE's
check-gke-ingress. Its ten checks are among the rules, under their own names.

The numbers of *traps* and *failures* are explained [below](#traps-and-failures).
"""

_TITLES = {
    Scope.FILES: "Files",
    Scope.ADDRESS: "A live address",
    Scope.CLUSTER: "A live cluster",
    Scope.MACHINE: "This machine",
}

_NUMBERS = """
## Traps and failures

Traps of the guide "Set up a Layer-7 Load Balancer for Milvus on GCP":

| Trap | |
| --- | --- |
| G1 | `tlsMode: 1` alone: REST and gRPC share a port, and Milvus 2.5 and later do not start |
| G2 | `helm upgrade` with some values: the values of the installation are lost |
| G3 | no word about key files: Milvus serves the certificate of its image |
| G4 | waiting for a Google-managed certificate to be Active before the Ingress is made: a deadlock |
| G5 | no reserved address |
| G6 | a certificate without a subjectAltName, for 99999 days |
| G7 | port 80 stays open |
| G8 | a BackendConfig with a health check only: 30 s for a call, 0 s for draining |
| G9 | the old balancer is removed first: an outage, and another address |
| G10 | annotations by hand instead of in the Helm values |
| G11 | `kubectl -f ./config/samples/ingress.yaml get -w`, a command for a file that no reader has |
| G12 | no readiness gate in the proxies' Pods, no `preStop` |
| G13 | an IP address with `server_name`, which only some SDKs have |
| G14 | "Enable TLS on the load balancer" turns TLS on in Milvus |
| G15 | "caching": no HTTP cache stores a gRPC answer |

Failures that users of Milvus and of gRPC behind balancers have reported:

| Failure | |
| --- | --- |
| F1 | only one of several proxies works: connections are balanced, not calls |
| F2 | Milvus panics after TLS is turned on |
| F3 | REST is answered with "application/grpc expected" |
| F4 | connection refused: Milvus is healthy on 9091 before it listens for gRPC |
| F5 | "proxy not healthy" inside an OK answer |
| F6 | 502 where the backend does not speak TLS with ALPN h2, or the health check uses the wrong port |
| F7 | 502 on every rolling restart |
| F8 | calls cut after 30 s |
| F10 | a managed certificate stays in FailedNotVisible |
| F11 | TLS in Milvus and plaintext in the balancer, or the other way round |
| F12 | "sdk is incompatible with server": another server answers with 404 |
| F13 | HTTP/1.1 on a port for gRPC |
| F14 | an HTTP/1.1 probe on the gRPC port |
| F19 | "missing selected ALPN property" |
| F20 | a certificate that the client does not trust |
| F22 | "upstream connect error or disconnect/reset before headers" |
| F23 | interruptions during upgrades |
| F25 | UNHEALTHY without a reason: a firewall rule is missing in a Shared VPC |
"""


def render() -> str:
    """Return the page."""
    parts = [GENERATED, _INTRODUCTION]
    for scope in Scope:
        parts.append(f"\n## {_TITLES[scope]}\n")
        for rule in RULES:
            if rule.scope is scope:
                parts += [
                    f"\n### {rule.id}\n\n{plain(rule.title)}. *{rule.severity.capitalize()}.*\n\n",
                    plain(rule.why),
                    "\n",
                ]
                if rule.reasons:
                    links = (f"[{reason}](diagnostics.md#{reason.lower()})" for reason in sorted(rule.reasons))
                    parts.append(f"\nDiagnostics: {', '.join(links)}.\n")
    parts.append(_NUMBERS)
    return "".join(parts)
