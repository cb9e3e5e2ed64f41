"""Kiteway's own pods: each is a real ``kiteway controller`` with the chart's arguments and service account."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kiteway.instance import Instance
from tests.gke.running import PODS, mark_running
from tests.kubernetes.cluster import Cluster
from tests.support.kiteway import KITEWAY, Running


@dataclass
class _Pod:
    running: Running
    address: str
    ready: bool = False
    ending: bool = False


class KitewayPods:
    """
    Starts and ends them, as their node's kubelet would.

    Args:
        cluster: where they are.
        folder: for what they write.
    """

    def __init__(self, cluster: Cluster, folder: Path) -> None:
        self._cluster = cluster
        self._folder = folder
        self._pods: dict[str, _Pod] = {}
        self._count = 0

    def owns(self, pod: Mapping[str, Any]) -> bool:
        """Tell whether a pod is Kiteway's."""
        return bool(pod["metadata"]["labels"].get("app.kubernetes.io/name") == "kiteway")

    def look(self, pods: Mapping[str, Mapping[str, Any]]) -> None:
        """Bring what runs to what there is; never waits."""
        for name, pod in pods.items():
            if name not in self._pods:
                if pod["metadata"].get("deletionTimestamp"):
                    self._forget(name)
                else:
                    self._pods[name] = self._start(pod)
                continue
            self._go_on(name, self._pods[name], ends=bool(pod["metadata"].get("deletionTimestamp")))
        for name in [name for name in self._pods if name not in pods]:
            self._end(self._pods.pop(name))

    def stop(self) -> None:
        """End them all."""
        for pod in self._pods.values():
            pod.running.process.terminate()
        for pod in self._pods.values():
            self._end(pod)

    def _go_on(self, name: str, pod: _Pod, *, ends: bool) -> None:
        process = pod.running.process
        if ends and not pod.ending:
            pod.ending = True
            process.terminate()
        if process.poll() is not None:
            assert pod.ending, f"{name} ended: {pod.running.log.read_text()[-4000:]}"
            self._forget(name)
        elif not pod.ready and pod.running.instance.status_socket.exists() and pod.running.status().get("ready"):
            pod.ready = True
            mark_running(self._cluster, name, pod.address)

    def _start(self, pod: Mapping[str, Any]) -> _Pod:
        self._count += 1
        address = f"10.244.8.{self._count}"
        data = self._folder / f"k{self._count}"
        spec = pod["spec"]
        (container,) = spec["containers"]
        ours = {"--data-dir": str(data), "--metrics-bind": f"{address}:9102"}
        given = [argument.partition("=") for argument in container["args"]]
        arguments = [f"{name}={ours.get(name, value)}" if equals else name for name, equals, value in given]
        kubeconfig = self._cluster.token_of("default", spec["serviceAccountName"])
        log = data.with_suffix(".log")
        with log.open("ab") as output:
            process = subprocess.Popen(
                [str(KITEWAY), *arguments, "--kubeconfig", str(kubeconfig), "--bind", address],
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, "POD_NAMESPACE": "default"},
            )
        return _Pod(Running(process, Instance(data), log), address)

    def _forget(self, name: str) -> None:
        """Say that the containers have ended; only then does the API server let the pod go."""
        self._cluster.api.delete(f"{PODS}/{name}", params={"gracePeriodSeconds": 0})

    def _end(self, pod: _Pod) -> None:
        process = pod.running.process
        if process.poll() is None:
            process.terminate()
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise
