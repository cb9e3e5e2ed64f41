"""The users of ``kiteway gke``: service accounts with the documented rights."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from kiteway.gke.rights import CLUSTER_WIDE
from tests.gke.site import Site

NAMESPACE = "people"


def person(site: Site, name: str, rights: Iterable[tuple[str, str]]) -> Path:
    """Return the kubeconfig of a user who has these verbs on these resources in namespace ``default`` alone."""
    rules: dict[bool, list[dict[str, Any]]] = {True: [], False: []}
    for verb, resource in rights:
        kind, _, group = resource.partition(".")
        rules[kind in CLUSTER_WIDE].append({"apiGroups": [group], "resources": [kind], "verbs": [verb]})
    kubeconfig = site.cluster.service_account(NAMESPACE, name, rules[True])
    api = "rbac.authorization.k8s.io"
    metadata = {"name": name, "namespace": "default"}
    site.cluster.apply(
        {"apiVersion": f"{api}/v1", "kind": "Role", "metadata": metadata, "rules": rules[False]},
        {
            "apiVersion": f"{api}/v1",
            "kind": "RoleBinding",
            "metadata": metadata,
            "roleRef": {"apiGroup": api, "kind": "Role", "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": NAMESPACE}],
        },
    )
    return kubeconfig


@contextlib.contextmanager
def acting(site: Site, kubeconfig: Path) -> Iterator[None]:
    """Let ``site`` run what it runs as somebody."""
    admin = site.environment["KUBECONFIG"]
    site.environment["KUBECONFIG"] = str(kubeconfig)
    try:
        yield
    finally:
        site.environment["KUBECONFIG"] = admin
