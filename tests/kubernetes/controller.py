"""Runs `kiteway controller` as a Pod does: in a separate process, with exactly a service account's rights."""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from kiteway.instance import Instance
from tests.kubernetes.chart import rights
from tests.kubernetes.cluster import Cluster
from tests.support.kiteway import KITEWAY, Running, wait_until

NAMESPACE = "kiteway-system"


def account(cluster: Cluster, values: Mapping[str, Any] | None = None, *, release: str = "kiteway") -> Path:
    """Make the service account of a release of the chart with exactly its rights, and return its kubeconfig."""
    objects = rights(release, NAMESPACE, values or {})
    cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}, *objects)
    [name] = [o["metadata"]["name"] for o in objects if o["kind"] == "ServiceAccount"]
    return cluster.token_of(NAMESPACE, name)


def refused(cluster: Cluster, namespace: str = NAMESPACE, name: str = "kiteway", begin: int = 0) -> list[str]:
    """Return what the API server has refused an account since the audit log had ``begin`` bytes; it must have asked."""
    with (cluster.folder / "audit.log").open("rb") as log:
        log.seek(begin)
        asked = [
            r for r in map(json.loads, log) if r["user"]["username"] == f"system:serviceaccount:{namespace}:{name}"
        ]
    assert asked
    return [r["requestURI"] for r in asked if r.get("responseStatus", {}).get("code") == 403]


@contextlib.contextmanager
def controller(
    kubeconfig: Path, data_dir: Path, https_port: int, *arguments: str, wait: bool = True
) -> Iterator[Running]:
    """Run ``kiteway controller`` until the end of the ``with``; wait until it is ready."""
    log = data_dir.with_suffix(".log")
    command = [KITEWAY, "controller", "--kubeconfig", kubeconfig, "--data-dir", data_dir, "--bind", "127.0.0.1"]
    command += ["--https-port", str(https_port), "--http-port", "0", "--lease-namespace", NAMESPACE, "--drain", "1"]
    with log.open("ab") as output:
        process = subprocess.Popen([*map(str, command), *arguments], stdout=output, stderr=subprocess.STDOUT)
    running = Running(process, Instance(data_dir), log)
    try:
        if wait:
            wait_until(lambda: _ready(running), f"kiteway controller is ready: {log}", 90)
        yield running
    finally:
        process.terminate()
        try:
            process.wait(45)
        except subprocess.TimeoutExpired:
            process.kill()
            raise


def _ready(running: Running) -> bool:
    assert running.process.poll() is None, running.log.read_text()
    return running.instance.status_socket.exists() and bool(running.status().get("ready"))
