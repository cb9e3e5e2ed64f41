"""A cluster with Milvus behind a Layer-4 balancer, the guide's starting point."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import functools
import http.server
import json
import os
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from kiteway.files import write_atomic
from kiteway.milvus.embedded import MilvusEndpoint, StandaloneMilvus, TLSFiles
from tests.gke.kubelet import Kubelet
from tests.kubernetes.cluster import Cluster, Server
from tests.kubernetes.controller import NAMESPACE, account, controller
from tests.support.kiteway import KITEWAY, wait_until
from tools.kubernetes.build import programs as kubernetes_programs
from tools.kubernetes.clients import programs as client_programs

CHART = Path(__file__).parent / "chart"
HOST = "my-release.milvus.io"
RELEASE = "my-release"
SERVICE = "my-release-milvus"
L4_ADDRESS = "203.0.113.9"
ADDRESS = "127.0.0.1"
USER_YAML = "# ours\nproxy:\n  maxTaskNum: 2048  # more\n"
VALUES: dict[str, Any] = {
    "service": {"type": "LoadBalancer"},
    "proxy": {"replicas": 2},
    "image": {"all": {"tag": "v2.6.3"}},
    "extraConfigFiles": {"user.yaml": USER_YAML},
}
_CONTROLLERS = "deployment-controller,replicaset-controller"


class Milvuses:
    """Real Milvus servers, one for each way of serving that a pod asked for; started when first needed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._servers: dict[bytes | None, StandaloneMilvus] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def serve(self, certificate: bytes | None, key: bytes | None) -> MilvusEndpoint:
        """Return a Milvus with this certificate and key, or in plaintext."""
        if certificate not in self._servers:
            home = self._folder / f"milvus-{len(self._servers)}"
            home.mkdir()
            tls = None
            if certificate is not None and key is not None:
                tls = TLSFiles(home / "tls.crt", home / "tls.key")
                tls.cert.write_bytes(certificate)
                write_atomic(tls.key, key, 0o600)
            server = StandaloneMilvus(home / "data", tls=tls)
            self._wait(server.start())
            self._servers[certificate] = server
        return self._servers[certificate].endpoint

    def stop(self) -> None:
        """Stop them all."""
        for server in self._servers.values():
            self._wait(server.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def _wait(self, work: Any) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(120)


@dataclass
class Site:
    """
    Where ``kiteway gke`` works.

    Attributes:
        cluster: the cluster.
        folder: a short folder.
        kubelet: plays the nodes.
        environment: for programs that talk to the cluster: gcloud's stand-in, helm, kubectl and who we are.
        milvuses: what serves.
    """

    cluster: Cluster
    folder: Path
    kubelet: Kubelet
    environment: dict[str, str]
    milvuses: Milvuses
    runs: int = field(default=0)

    def kiteway(self, *arguments: str, code: int = 0) -> str:
        """Run ``kiteway gke`` and return what it prints."""
        done = subprocess.run(
            [KITEWAY, "gke", *arguments], check=False, capture_output=True, text=True, env=self.environment, timeout=280
        )
        assert done.returncode == code, f"kiteway gke {' '.join(arguments)}:\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def shell(self, command: str, folder: Path) -> str:
        """Run a line as its reader does, in ``folder``; return what it prints."""
        done = subprocess.run(
            ["/bin/bash", "-ec", f"set -o pipefail; {command}"],
            check=False,
            capture_output=True,
            text=True,
            env=self.environment,
            cwd=folder,
            timeout=280,
        )
        assert done.returncode == 0, f"{command}:\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def apply(self, *arguments: str) -> str:
        """Run ``kiteway gke apply`` for the guide's host from the repository milvus."""
        return self.kiteway("apply", *self.options(*arguments))

    def options(self, *arguments: str) -> tuple[str, ...]:
        """Return the options of the guide's release."""
        return ("--host", HOST, *arguments)

    def apply_killed(self, marks: set[str], *arguments: str) -> str | None:
        """
        Run ``apply`` and kill it with -9 at the first line that is not in ``marks``; return the line, if any.

        Where the line is a command, it is killed once the command is at work.
        """
        command = [str(KITEWAY), "gke", "apply", *self.options(*arguments)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=self.environment)
        assert process.stdout is not None
        with process.stdout as lines:
            for line in lines:
                mark = line.strip().partition(" --ca ")[0]  # the verification's folder is another one each time
                if mark in marks or not (mark.startswith("$ ") or mark.endswith("DONE")):
                    continue
                program = mark.split()[1]
                if mark.startswith("$ ") and program != "kiteway":  # verifying is done in the process itself
                    wait_until(lambda: _runs(process.pid, program), f"{program} is at work")  # noqa: B023 - waited for here
                process.send_signal(signal.SIGKILL)
                process.wait(30)
                return mark
        assert process.wait(30) == 0
        return None

    def helm(self, *arguments: str) -> str:
        """Run helm."""
        return self._run("helm", *arguments)

    def kubectl(self, *arguments: str) -> str:
        """Run kubectl."""
        return self._run("kubectl", *arguments)

    def install(self, values: dict[str, Any] | None = None) -> None:
        """Install the release, and wait until it is where the guide begins."""
        file = self.folder / "values.yaml"
        file.write_text(yaml.safe_dump(values or VALUES))
        self.helm("upgrade", "--install", RELEASE, str(CHART), "-f", str(file))
        status = {"status": {"loadBalancer": {"ingress": [{"ip": L4_ADDRESS}]}}}
        self.kubectl("patch", "service", SERVICE, "--subresource=status", "--type=merge", "-p", json.dumps(status))
        self.kubectl("rollout", "status", f"deployment/{SERVICE}-proxy", "--timeout=120s")

    def uninstall(self) -> None:
        """Remove the release and everything of ours."""
        for release, namespace in ((RELEASE, "default"), (f"{RELEASE}-kiteway", "default"), ("kiteway", NAMESPACE)):
            self.helm("uninstall", release, "-n", namespace, "--ignore-not-found")
        for kind in _KINDS:
            self.kubectl("delete", kind, "--all", "--ignore-not-found")
        wait_until(lambda: not self.items("pods"), "the pods are gone", 60)

    def items(self, kind: str) -> list[dict[str, Any]]:
        """Return all objects of a kind."""
        found: list[dict[str, Any]] = json.loads(self.kubectl("get", kind, "-o", "json"))["items"]
        return found

    def values(self) -> Any:
        """Return the release's own values."""
        return yaml.safe_load(self.helm("get", "values", RELEASE, "-o", "yaml"))

    def state(self) -> dict[str, Any]:
        """Return the values and every object, without what any write changes, Helm's history and what Kiteway reports."""
        found: dict[str, Any] = {"values": self.values()}
        for kind in (*_KINDS, "services", "deployments", "configmaps"):
            for item in self.items(kind):
                if item.get("type") == "helm.sh/release.v1" or item["metadata"]["name"] == "kube-root-ca.crt":
                    continue
                found[f"{item['kind']}/{item['metadata']['name']}"] = _lasting(item)
        return found

    def _run(self, *command: str) -> str:
        done = subprocess.run(command, check=False, capture_output=True, text=True, env=self.environment, timeout=200)
        assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
        return done.stdout


_KINDS = (
    "ingresses",
    "secrets",
    "backendconfigs.cloud.google.com",
    "frontendconfigs.networking.gke.io",
    "managedcertificates.networking.gke.io",
)


def _lasting(item: dict[str, Any]) -> dict[str, Any]:
    found = copy.deepcopy(item)
    found.pop("status", None)
    for key in ("resourceVersion", "generation", "managedFields", "creationTimestamp", "uid"):
        found["metadata"].pop(key, None)
    reported = ("ingress.kubernetes.io/", "deployment.kubernetes.io/", "cloud.google.com/neg-status")
    annotations = found["metadata"].get("annotations", {})
    found["metadata"]["annotations"] = {k: v for k, v in annotations.items() if not k.startswith(reported)}
    return found


def _runs(parent: int, program: str) -> bool:
    """Tell whether a process has a child that is this program; or is gone itself."""
    try:
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        return any(Path(f"/proc/{child}/comm").read_text().strip() == program for child in children)
    except FileNotFoundError:  # a child that ended just now, or the process itself
        return not Path(f"/proc/{parent}").exists()


@contextlib.contextmanager
def site(gcloud: str) -> Iterator[Site]:
    """Start everything: API server, controllers, nodes, and Kiteway's controller in Google's part."""
    with tempfile.TemporaryDirectory(prefix="kw-") as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        cluster = stack.enter_context(Cluster(folder))
        cluster.install_crds()
        manager = Server("deployments", _manager(cluster), folder)
        manager.start()
        stack.callback(manager.stop)
        milvuses = Milvuses(folder)
        stack.callback(milvuses.stop)
        kubelet = stack.enter_context(Kubelet(cluster, milvuses.serve, folder))
        arguments = ("--publish-address", ADDRESS)
        # Not the release that `kiteway gke` installs.
        kubeconfig = account(cluster, release="balancer")
        stack.enter_context(controller(kubeconfig, folder / "kw", 443, *arguments))
        started = Site(cluster, folder, kubelet, _environment(cluster, folder, gcloud), milvuses)
        repository = stack.enter_context(_repository(started))
        started.helm("repo", "add", "milvus", repository)
        yield started


@contextlib.contextmanager
def _repository(site: Site) -> Iterator[str]:
    """Serve the chart as the repository that users know as ``milvus``."""
    folder = site.folder / "charts"
    site.helm("package", str(CHART), "--destination", str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Files, directory=str(folder)))
    url = f"http://127.0.0.1:{server.server_port}"
    site.helm("repo", "index", str(folder), "--url", url)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield url
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


class _Files(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class calls it so
        """Say nothing."""


def _manager(cluster: Cluster) -> list[str | Path]:
    return [
        kubernetes_programs()["kube-controller-manager"],
        f"--kubeconfig={cluster.kubeconfig}",
        f"--controllers={_CONTROLLERS}",
        "--leader-elect=false",
        "--bind-address=127.0.0.1",
        "--secure-port=0",
        "--kube-api-qps=500",
        "--kube-api-burst=1000",
    ]


def _environment(cluster: Cluster, folder: Path, gcloud: str) -> dict[str, str]:
    programs = folder / "bin"
    programs.mkdir()
    (programs / "gcloud").write_text(gcloud.replace("@STATE@", str(folder / "addresses")))
    (programs / "gcloud").chmod(0o755)
    clients = client_programs()["helm"].parent
    return {
        **os.environ,
        "PATH": f"{programs}:{clients}:{KITEWAY.parent}:{os.environ['PATH']}",
        "KUBECONFIG": str(cluster.kubeconfig),
        "HELM_CACHE_HOME": str(folder / "helm-cache"),
        "HELM_CONFIG_HOME": str(folder / "helm-config"),
        "HELM_DATA_HOME": str(folder / "helm-data"),
    }
