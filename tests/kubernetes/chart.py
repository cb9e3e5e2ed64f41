"""The Helm chart, as ``helm`` renders it."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import yaml

from tests.kubernetes.cluster import Cluster
from tests.kubernetes.controller import NAMESPACE
from tools.kubernetes.clients import programs

CHART = Path(__file__).resolve().parents[2] / "deploy/chart"
RELEASE = "chart-kiteway"


def helm(*arguments: str | Path, stdin: str | None = None) -> str:
    """Run helm; return what it prints."""
    done = subprocess.run(
        [programs()["helm"], *arguments], input=stdin, check=False, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, f"helm {' '.join(map(str, arguments))}: {done.stdout}{done.stderr}"
    return done.stdout


def rendered(values: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the chart's objects."""
    text = helm("template", RELEASE, CHART, "--namespace", NAMESPACE, "-f", "-", stdin=yaml.safe_dump(values))
    objects = [document for document in yaml.safe_load_all(text) if document]
    for object_ in objects:
        # As `helm install` does with what names none.
        object_["metadata"].setdefault("namespace", NAMESPACE)
    return objects


def account_of_the_chart(cluster: Cluster, values: dict[str, Any]) -> Path:
    """Make the service account with exactly the rights that the chart gives it, and return its kubeconfig."""
    objects = [o for o in rendered(values) if o["kind"] in {"ServiceAccount", "IngressClass"} or "Role" in o["kind"]]
    cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}, *objects)
    return cluster.token_of(NAMESPACE, RELEASE)


def refused(cluster: Cluster) -> list[str]:
    """Return what the API server has refused that account; fail if it was never asked."""
    name = f"system:serviceaccount:{NAMESPACE}:{RELEASE}"
    asked = [r for r in cluster.requests() if r.get("user", {}).get("username") == name]
    assert asked
    return [r["requestURI"] for r in asked if r.get("responseStatus", {}).get("code") == 403]
