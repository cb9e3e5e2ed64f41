"""Objects that make a cluster look like GKE."""

from __future__ import annotations

NEG_CRD = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "servicenetworkendpointgroups.networking.gke.io"},
    "spec": {
        "group": "networking.gke.io",
        "names": {
            "kind": "ServiceNetworkEndpointGroup",
            "listKind": "ServiceNetworkEndpointGroupList",
            "plural": "servicenetworkendpointgroups",
            "singular": "servicenetworkendpointgroup",
            "shortNames": ["svcneg"],
        },
        "scope": "Namespaced",
        "versions": [
            {
                "name": "v1beta1",
                "served": True,
                "storage": True,
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
            }
        ],
    },
}
"""Kiteway sees it when it starts, and from then on leaves Google's Ingresses alone."""
