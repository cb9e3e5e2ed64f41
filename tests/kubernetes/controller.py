"""Runs `kiteway controller` as a Pod does: as a process of its own, with a service account's rights and no more."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

from kiteway.instance import Instance
from tests.kubernetes.cluster import Cluster
from tests.support.kiteway import KITEWAY, Running, wait_until

NAMESPACE = "kiteway-system"
_READ = ["get", "list", "watch"]

RULES = (
    {"apiGroups": ["networking.k8s.io"], "resources": ["ingresses", "ingressclasses"], "verbs": _READ},
    {"apiGroups": ["networking.k8s.io"], "resources": ["ingresses/status"], "verbs": ["patch"]},
    {"apiGroups": [""], "resources": ["services", "secrets"], "verbs": _READ},
    {"apiGroups": [""], "resources": ["services/status"], "verbs": ["patch"]},
    {"apiGroups": [""], "resources": ["events"], "verbs": ["create"]},
    {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": _READ},
    {"apiGroups": ["cloud.google.com"], "resources": ["backendconfigs"], "verbs": _READ},
    {"apiGroups": ["networking.gke.io"], "resources": ["frontendconfigs", "managedcertificates"], "verbs": _READ},
    {"apiGroups": ["networking.gke.io"], "resources": ["managedcertificates/status"], "verbs": ["patch"]},
    {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["get", "create", "update"]},
)
"""All that `kiteway controller` needs of a cluster."""

GATE_RULES = (
    {"apiGroups": [""], "resources": ["pods"], "verbs": _READ},
    {"apiGroups": [""], "resources": ["pods/status"], "verbs": ["patch"]},
)
"""What ``--readiness-gate`` needs besides."""


def account(cluster: Cluster, *, gate: bool = False) -> Path:
    """Make the service account, and return its kubeconfig."""
    return cluster.service_account(NAMESPACE, "kiteway", (*RULES, *GATE_RULES) if gate else RULES)


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
