"""Names of objects: the chart's own, and those of the guide."""

from __future__ import annotations

import json
from dataclasses import dataclass

from kiteway.gke.live import ClusterReading, Release, annotations_of, dig
from kiteway.gke.options import GkeOptions
from kiteway.resources.annotations import BACKEND_CONFIG


def fullname(release: str, chart: str, override: str = "", name_override: str = "") -> str:
    """Return the name that milvus-helm's template ``milvus.fullname`` makes: at most 63 characters, no dash at the end."""
    if override:
        return override[:63].removesuffix("-")
    name = name_override or chart
    return (release if name in release else f"{release}-{name}")[:63].removesuffix("-")


def release_fullname(release: Release) -> str:
    """Return the fullname of a live release."""
    values = release.effective
    return fullname(release.name, release.chart, values.get("fullnameOverride") or "", values.get("nameOverride") or "")


def clustered(release: Release) -> bool:
    """Return whether the release runs as a cluster with separate proxies, the chart's default."""
    return bool(dig(release.effective, "cluster", "enabled") is not False)


KITEWAY = "kiteway"
"""The release, and the IngressClass, of a Kiteway that serves a whole cluster."""


@dataclass(frozen=True, slots=True)
class Names:
    """
    Names of one release's objects, after the guide's ``my-release-milvus``.

    Attributes:
        service: the chart's Service.
        workload: the Deployment whose pods serve.
        container: its container.
        backend_config: one that the Service already names, or the one that kiteway gke makes.
        certificate: the Secret or ManagedCertificate of the front.
        backend_certificate: the Secret that Milvus serves with.
        ingress: the one that kiteway gke makes; its name differs from that of the chart's own Ingress if that is on.
        frontend_config: the one that kiteway gke makes.
        static_address: the name of the reserved address at Google.
        kiteway: Kiteway's release; behind Google's balancer its Deployment and Service have that name, too.
        kiteway_namespace: where that is.
        kiteway_class: the class of the Ingress that Kiteway serves.
        route: the Ingress that Kiteway serves, behind Google's.
        record: the Secret with the state before the first change.
    """

    service: str
    workload: str
    container: str
    backend_config: str
    certificate: str
    backend_certificate: str
    ingress: str
    frontend_config: str
    static_address: str
    kiteway: str
    kiteway_namespace: str
    kiteway_class: str
    route: str
    record: str


def names(live: ClusterReading, release: Release, wanted: GkeOptions) -> Names:
    """Return the names for a live release."""
    full = release_fullname(release)
    component = "proxy" if clustered(release) else "standalone"
    own_ingress = bool(dig(release.effective, "ingress", "enabled"))
    return Names(
        service=full,
        workload=f"{full}-{component}",
        container=component,
        backend_config=_named_backend_config(live) or f"{wanted.release}-backendconfig",
        certificate=f"{full}-tls",
        backend_certificate=f"{full}-backend-tls",
        ingress=f"{full}-l7" if own_ingress else full,
        frontend_config=f"{full}-frontendconfig",
        static_address=wanted.static_ip_name or f"{full}-ip",
        **_kiteway(wanted),
        route=f"{full}-kiteway",
        record=record_name(wanted.release),
    )


def _kiteway(wanted: GkeOptions) -> dict[str, str]:
    """
    Return Kiteway's names: of one for the whole cluster, or of one for this release alone.

    Helm allows 53 characters, and Kiteway's chart names its objects after the release if that contains "kiteway".
    """
    if not wanted.google:
        found = {"kiteway": wanted.kiteway_release or KITEWAY, "kiteway_class": KITEWAY}
        return {**found, "kiteway_namespace": wanted.kiteway_namespace}
    own = wanted.kiteway_release or f"{wanted.release[:42].removesuffix('-')}-kiteway"
    # An IngressClass is cluster-wide, and releases of one name may be in several namespaces.
    return {"kiteway": own, "kiteway_class": f"{wanted.namespace}-{own}", "kiteway_namespace": wanted.namespace}


def record_name(release: str) -> str:
    """Return the name of the record's Secret."""
    return f"kiteway-gke.{release}"


def _named_backend_config(live: ClusterReading) -> str | None:
    text = annotations_of(live.service).get(BACKEND_CONFIG)
    try:
        value = json.loads(text) if text else None
    except ValueError:
        return None
    name = dig(value, "default")
    return name if isinstance(name, str) and name else None
