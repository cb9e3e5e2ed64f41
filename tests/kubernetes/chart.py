"""The Helm chart as Helm renders it."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tools.kubernetes.clients import programs

CHART = Path(__file__).resolve().parents[2] / "deploy/chart"
PREVIOUS = Path(__file__).with_name("charts") / "kiteway-0.1.0.tgz"
"""The chart as it was before the present version, which users upgrade from."""

_IN_NO_NAMESPACE = {"ClusterRole", "ClusterRoleBinding", "IngressClass"}


def helm(*arguments: str | Path, stdin: str | None = None) -> str:
    """Run helm; return what it prints."""
    done = subprocess.run(
        [programs()["helm"], *arguments], input=stdin, check=False, capture_output=True, text=True, timeout=280
    )
    assert done.returncode == 0, f"helm {' '.join(map(str, arguments))}: {done.stdout}{done.stderr}"
    return done.stdout


def render(release: str, namespace: str, values: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the objects of a release, each with the namespace that ``helm install`` would put it into."""
    text = helm("template", release, CHART, "--namespace", namespace, "-f", "-", stdin=yaml.safe_dump(dict(values)))
    objects = [document for document in yaml.safe_load_all(text) if document]
    for object_ in objects:
        if object_["kind"] not in _IN_NO_NAMESPACE:
            object_["metadata"].setdefault("namespace", namespace)
    return objects


def rights(release: str, namespace: str, values: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the service account and its rights alone."""
    return [o for o in render(release, namespace, values) if o["kind"] == "ServiceAccount" or "Role" in o["kind"]]


def elsewhere(arguments: list[str]) -> list[str]:
    """Return the container's arguments without what a Pod has to itself: the ports and the data directory."""
    own = ("--data-dir", "--https-port", "--http-port", "--metrics-bind", "--drain")
    return [a for a in arguments if a != "controller" and not a.startswith(own)]
