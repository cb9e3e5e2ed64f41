"""The rights that ``kiteway gke`` needs: exactly those that its commands use."""

from __future__ import annotations

from typing import Final

from kiteway.gke.options import CertificateKind, GkeOptions, Http

Right = tuple[str, str]
"""A verb and a resource as kubectl writes it, ``RESOURCE[/SUBRESOURCE][.GROUP]``."""

CLUSTER_WIDE: Final = frozenset({"ingressclasses", "clusterroles", "clusterrolebindings"})
"""Resources that are in no namespace."""

_READ = ("get",)
_WRITE = ("get", "create", "patch", "delete")
_OWN = ("get", "create", "patch", "update", "delete")

_CHART: Final[dict[str, tuple[str, ...]]] = {
    # The objects of Kiteway's chart.
    **dict.fromkeys(
        (
            "deployments.apps",
            "serviceaccounts",
            "networkpolicies.networking.k8s.io",
            "poddisruptionbudgets.policy",
            "roles.rbac.authorization.k8s.io",
            "rolebindings.rbac.authorization.k8s.io",
            "clusterroles.rbac.authorization.k8s.io",
            "clusterrolebindings.rbac.authorization.k8s.io",
        ),
        _WRITE,
    ),
    # Kiteway's own rights: a user can grant only rights that the user has.
    "ingressclasses.networking.k8s.io": (*_WRITE, "list", "watch"),
    "backendconfigs.cloud.google.com": ("list", "watch"),
    "frontendconfigs.networking.gke.io": ("list", "watch"),
    "managedcertificates.networking.gke.io": ("list", "watch"),
    "milvuspolicies.kiteway.io": ("list", "watch"),
    "ingresses.networking.k8s.io": ("list", "watch"),
    "endpointslices.discovery.k8s.io": ("list", "watch"),
    "secrets": ("list", "watch"),
    "services": (*_WRITE, "list", "watch"),
    "ingresses/status.networking.k8s.io": ("patch",),
    "services/status": ("patch",),
    "managedcertificates/status.networking.gke.io": ("patch",),
    "milvuspolicies/status.kiteway.io": ("patch",),
    "events": ("create",),
    "leases.coordination.k8s.io": ("create", "get", "update", "list", "watch", "patch"),
}


def permissions(wanted: GkeOptions) -> tuple[Right, ...]:
    """
    Return the rights for ``apply`` and ``rollback``, without those that Helm needs for Milvus's chart.

    They include Kiteway's own chart if each release of Milvus has its own Kiteway (google+kiteway); for a whole
    cluster an administrator installs it.
    """
    found: dict[str, dict[str, None]] = {}

    def add(rights: dict[str, tuple[str, ...]]) -> None:
        for resource, verbs in rights.items():
            found.setdefault(resource, {}).update(dict.fromkeys(verbs))

    add({"secrets": (*_OWN, "list"), "ingresses.networking.k8s.io": _OWN})
    add({"services": _READ, "deployments.apps": _READ})
    if wanted.google:
        add({"pods": ("list",), "deployments.apps": ("patch",), "backendconfigs.cloud.google.com": _OWN})
    if wanted.kiteway:
        add({"ingressclasses.networking.k8s.io": _READ})
    if wanted.google and wanted.kiteway:
        add(_CHART)
    if not wanted.kiteway or wanted.remove_l4:  # the release is upgraded
        add(dict.fromkeys(("services", "configmaps", "deployments.apps"), ("get", "patch")))
    if wanted.certificate is CertificateKind.GOOGLE_MANAGED:
        add({"managedcertificates.networking.gke.io": _OWN})
    if wanted.http is Http.REDIRECT:
        add({"frontendconfigs.networking.gke.io": _OWN})
    return tuple((verb, resource) for resource, verbs in sorted(found.items()) for verb in verbs)


def split(resource: str) -> tuple[str, str, str]:
    """Return the resource, the subresource and the API group of what a `Right` is about."""
    names, _, group = resource.partition(".")
    name, _, subresource = names.partition("/")
    return name, subresource, group
