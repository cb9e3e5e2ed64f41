"""Paths of the Kubernetes API."""

from __future__ import annotations


def collection(api_version: str, plural: str, namespace: str) -> str:
    """Return the path of a collection."""
    root = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
    return f"{root}/namespaces/{namespace}/{plural}" if namespace else f"{root}/{plural}"
