"""
The nodes, as far as ``kiteway gke`` can see them: pods get addresses, and Milvus serves there.

A pod serves as its own ConfigMap and volumes say: with TLS it is a real Milvus with the key of the Secret that is
mounted at ``tls.serverPemPath``. With a configuration with which Milvus 2.6 does not start, the pod is not ready.
"""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Self

import yaml

from kiteway.milvus.embedded import MilvusEndpoint
from tests.gke.kiteway_pods import KitewayPods
from tests.gke.running import NODE, PODS, mark_running
from tests.kubernetes.cluster import Cluster
from tests.kubernetes.forward import Forwarder
from tests.kubernetes.pods import add_node

Serve = Callable[[bytes | None, bytes | None], MilvusEndpoint]
"""Returns a Milvus that serves with this certificate and key, or in plaintext."""


class Kubelet:
    """
    Every node at once; a context manager.

    Attributes:
        complaints: why pods do not start, by pod.
    """

    def __init__(self, cluster: Cluster, serve: Serve, folder: Path) -> None:
        self.complaints: dict[str, str] = {}
        self._cluster = cluster
        self._serve = serve
        self._kiteways = KitewayPods(cluster, folder)
        self._next = 1
        self._running: dict[str, str] = {}
        self._forwarder = Forwarder()
        self._ended = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        add_node(self._cluster, NODE, "zone-a")
        self._forwarder.__enter__()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(60)
        self._kiteways.stop()
        self._forwarder.__exit__()
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            while not self._ended.wait(0.3):
                self._look()
        except BaseException as error:  # noqa: BLE001 - it is raised where the test can see it
            self._error = error

    def _look(self) -> None:
        listed = {pod["metadata"]["name"]: pod for pod in self._get(PODS)["items"]}
        self._kiteways.look({name: pod for name, pod in listed.items() if self._kiteways.owns(pod)})
        pods = {name: pod for name, pod in listed.items() if not self._kiteways.owns(pod)}
        for name in [name for name in self._running if name not in pods]:
            self._forwarder.close(self._running.pop(name))
        for name, pod in pods.items():
            if pod["metadata"].get("deletionTimestamp"):
                self._delete(name)
                continue
            if name in self._running:
                continue
            problem, milvus = self._milvus(pod)
            if milvus is None:
                self.complaints[name] = problem
                continue
            self._start(name, milvus)

    def _delete(self, name: str) -> None:
        """Say that the containers have ended; only then does the API server let the pod go."""
        if name in self._running:
            self._forwarder.close(self._running.pop(name))
        self._cluster.api.delete(f"{PODS}/{name}", params={"gracePeriodSeconds": 0})

    def _start(self, name: str, milvus: MilvusEndpoint) -> None:
        address = f"10.244.7.{self._next}"
        self._next += 1
        self._forwarder.open(address, {19530: milvus.port, 9091: milvus.health_port})
        self._running[name] = address
        mark_running(self._cluster, name, address)

    def _milvus(self, pod: Mapping[str, Any]) -> tuple[str, MilvusEndpoint | None]:
        if pod["metadata"]["labels"].get("component") != "proxy":
            return "", self._serve(None, None)
        mounts = pod["spec"]["containers"][0].get("volumeMounts", [])
        volumes = {volume["name"]: volume for volume in pod["spec"].get("volumes", [])}
        settings = yaml.safe_load(self._config(volumes)) or {}
        if not _at(settings, "common", "security", "tlsMode"):
            return "", self._serve(None, None)
        http = _at(settings, "proxy", "http") or {}
        if http.get("enabled") is not False and http.get("port") in (None, "", 19530):
            return "tls mode must be 0 when REST shares the port", None
        files = [_at(settings, "tls", key) for key in ("serverPemPath", "serverKeyPath")]
        found = [self._file(str(path), mounts, volumes) for path in files]
        if None in found:
            return f"no such file: {files}", None
        return "", self._serve(found[0], found[1])

    def _config(self, volumes: Mapping[str, Any]) -> str:
        name = volumes["milvus-config"]["configMap"]["name"]
        return str(self._get(f"/api/v1/namespaces/default/configmaps/{name}")["data"]["user.yaml"])

    def _file(self, path: str, mounts: list[Any], volumes: Mapping[str, Any]) -> bytes | None:
        file = PurePosixPath(path)
        for mount in mounts:
            secret = volumes[mount["name"]].get("secret")
            if secret and PurePosixPath(mount["mountPath"]) == file.parent:
                data = self._get(f"/api/v1/namespaces/default/secrets/{secret['secretName']}")["data"]
                return base64.b64decode(data[file.name])
        return None

    def _get(self, path: str) -> Any:
        response = self._cluster.api.get(path)
        response.raise_for_status()
        return response.json()


def _at(value: Any, *path: str) -> Any:
    for step in path:
        value = value.get(step) if isinstance(value, Mapping) else None
    return value
