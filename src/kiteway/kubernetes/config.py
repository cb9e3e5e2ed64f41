"""What a user says about the cluster."""

from __future__ import annotations

import msgspec


class KubernetesConfig(msgspec.Struct, frozen=True):
    """
    The cluster, and Kiteway's part in it.

    Attributes:
        kubeconfig: a kubeconfig file; empty takes the Pod's service account, else ``$KUBECONFIG``, else the user's.
        namespaces: the namespaces to look at; empty is all.
        classless: whether Ingresses without a class are ours; None: unless the cluster is GKE.
        publish_service: ``namespace/name`` of the Service whose addresses Ingresses get; empty for none.
        publish_addresses: the addresses (or names) Ingresses get instead.
        lease_namespace: Kiteway's own: where its Leases are, and what it stores.
        identity: this replica's name in the Leases.
        readiness_gate: whether Pods' ``kiteway.io/load-balancer-ready`` is kept.
    """

    kubeconfig: str = ""
    namespaces: tuple[str, ...] = ()
    classless: bool | None = None
    publish_service: str = ""
    publish_addresses: tuple[str, ...] = ()
    lease_namespace: str = "default"
    identity: str = ""
    readiness_gate: bool = False
