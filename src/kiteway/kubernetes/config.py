"""The user's settings for the cluster."""

from __future__ import annotations

import msgspec


class KubernetesConfig(msgspec.Struct, frozen=True):
    """
    The cluster, and what Kiteway does in it.

    Attributes:
        kubeconfig: a kubeconfig file; empty takes the Pod's service account, else ``$KUBECONFIG``, else the user's.
        namespaces: the namespaces to watch; empty is all.
        classless: whether Kiteway serves Ingresses without a class; None: yes, unless the cluster is GKE.
        publish_service: ``namespace/name`` of the Service whose addresses Ingresses get; empty for none.
        publish_addresses: the addresses (or names) Ingresses get instead.
        lease_namespace: Kiteway's own namespace, for its Leases and what it stores.
        identity: this replica's name in the Leases.
        readiness_gate: whether Kiteway sets the Pods' condition ``kiteway.io/load-balancer-ready``.
    """

    kubeconfig: str = ""
    namespaces: tuple[str, ...] = ()
    classless: bool | None = None
    publish_service: str = ""
    publish_addresses: tuple[str, ...] = ()
    lease_namespace: str = "default"
    identity: str = ""
    readiness_gate: bool = False
