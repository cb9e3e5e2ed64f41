"""Kinds that route traffic or describe Milvus, and that Kiteway does not serve: what they are, and what to write."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class ForeignKind:
    """
    A kind that a user may take for one that Kiteway serves.

    Attributes:
        what: what it is, as a noun phrase.
        fix: what to do.
    """

    what: str
    fix: str


_INGRESS: Final = "Write an Ingress (networking.k8s.io/v1) with the same hosts and backends."
_GATEWAY_API = ForeignKind("a kind of Gateway API, which Kiteway does not read yet", _INGRESS)
_GKE_GATEWAY = ForeignKind(
    "a policy for GKE's Gateway, which Kiteway does not read yet",
    "Beside an Ingress write a BackendConfig (cloud.google.com/v1) or a FrontendConfig (networking.gke.io/v1beta1).",
)
_OPERATOR = ForeignKind(
    "read by the Milvus operator, which makes the Service and the Ingress of it in the cluster",
    "Give the Ingress and the Service that it makes (kubectl get ingress,service,endpointslices -o yaml); "
    "`kiteway doctor -f` judges its spec.config.",
)


def _other(name: str) -> ForeignKind:
    return ForeignKind(f"a kind of {name}, which Kiteway does not read", _INGRESS)


_BY_GROUP: Final[dict[str, ForeignKind]] = {
    "apisix.apache.org": _other("Apache APISIX"),
    "configuration.konghq.com": _other("Kong"),
    "elbv2.k8s.aws": _other("the AWS Load Balancer Controller"),
    "gateway.networking.k8s.io": _GATEWAY_API,
    "gateway.networking.x-k8s.io": _GATEWAY_API,
    "getambassador.io": _other("Emissary"),
    "k8s.nginx.org": _other("NGINX Ingress Controller"),
    "milvus.io": _OPERATOR,
    "networking.istio.io": _other("Istio"),
    "projectcontour.io": _other("Contour"),
    "route.openshift.io": _other("OpenShift"),
    "traefik.containo.us": _other("Traefik"),
    "traefik.io": _other("Traefik"),
}
_GKE_GATEWAY_KINDS: Final = frozenset(
    {
        "GCPAuthzPolicy",
        "GCPBackendPolicy",
        "GCPGatewayPolicy",
        "GCPSessionAffinityPolicy",
        "GCPTrafficDistributionPolicy",
        "HealthCheckPolicy",
        "LBPolicy",
    }
)


def foreign_kind(api_version: str, kind: str) -> ForeignKind | None:
    """Return what a kind that Kiteway does not serve is; None if it has no part in load balancing."""
    group = api_version.rpartition("/")[0]
    if group == "networking.gke.io" and kind in _GKE_GATEWAY_KINDS:
        return _GKE_GATEWAY
    return _BY_GROUP.get(group)
