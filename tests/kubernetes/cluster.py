"""A real Kubernetes control plane on loopback: etcd, kube-apiserver, kube-controller-manager."""

from __future__ import annotations

import json
import os
import ssl
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Self

import httpx2
import trustme
import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.support.kiteway import wait_until
from tests.support.ports import lasting_port
from tools.debian import programs as debian_programs
from tools.kubernetes.build import programs as kubernetes_programs
from tools.kubernetes.clients import programs as client_programs

CRDS = Path(__file__).resolve().parents[2] / "deploy" / "chart" / "crds"
_CONTROLLERS = "endpointslice-controller,garbage-collector-controller,serviceaccount-controller,namespace-controller"
_START_SECONDS = 120.0


class Server:
    """One process of the control plane; it can be stopped and started again."""

    def __init__(self, name: str, command: Iterable[str | Path], folder: Path) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        self._command = [str(part) for part in command]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; its log goes on."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=subprocess.STDOUT)

    def stop(self, *, kill: bool = False) -> None:
        """End it, with -9 on request, and wait. Idempotent."""
        if self._process is None:
            return
        if kill:
            self._process.kill()
        else:
            self._process.terminate()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def signal(self, number: int) -> None:
        """Send a signal: SIGSTOP makes a server that neither answers nor refuses."""
        assert self._process is not None
        os.kill(self._process.pid, number)

    def check(self) -> None:
        """Fail when it has ended by itself."""
        assert self._process is not None
        assert self._process.poll() is None, f"{self.name} ended: {self.log.read_text(errors='replace')[-4000:]}"


_REPLICAS_LEASE = "kiteway-replicas"


class Requests:
    """
    What the API server has served Kiteway since this was made.

    What it refused while it started is not counted: how often that is depends on how long the start takes.
    Those for the Lease of the replicas are not counted either: each replica renews its annotation every few seconds.
    """

    def __init__(self, log: Path) -> None:
        self._log = log
        self._from = log.stat().st_size if log.exists() else 0

    def count(self, verb: str, resource: str = "") -> int:
        """Count requests by verb (``list``, ``watch``, ``patch``, ...), a watch when it begins."""
        return len(self.of(verb, resource))

    def of(self, verb: str, resource: str = "") -> list[str]:
        """Return the URIs of such requests."""
        # A long request is there twice: when the answer begins and when it ends.
        stage = "ResponseStarted" if verb == "watch" else "ResponseComplete"
        with self._log.open("rb") as log:
            log.seek(self._from)
            events = [json.loads(line) for line in log.read().splitlines()]
        return [
            str(event["requestURI"])
            for event in events
            if event["verb"] == verb
            and event["stage"] == stage
            and event["responseStatus"]["code"] < 300
            and resource in {"", event["objectRef"]["resource"]}
            and _REPLICAS_LEASE not in event["requestURI"]
        ]


class Cluster:
    """
    A cluster in ``folder``; a context manager.

    Attributes:
        kubeconfig: of an administrator.
        api: an HTTP client of an administrator.
        etcd, apiserver, manager: the servers.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.kubeconfig = folder / "admin.kubeconfig"
        self._kubectl = client_programs()["kubectl"]
        self._etcdctl = debian_programs("etcd-server", "etcd-client")["etcdctl"]
        self._etcd_url = f"http://127.0.0.1:{lasting_port()}"
        self.port = lasting_port()
        self.url = f"https://127.0.0.1:{self.port}"
        self._authority = trustme.CA()
        self._write_certificates()
        built = kubernetes_programs()
        self.etcd = Server("etcd", self._etcd_command(), folder)
        self.apiserver = Server("kube-apiserver", self._apiserver_command(built["kube-apiserver"]), folder)
        self.manager = Server(
            "kube-controller-manager", self._manager_command(built["kube-controller-manager"]), folder
        )
        self._write_kubeconfig(
            self.kubeconfig,
            {"client-certificate": str(folder / "admin.crt"), "client-key": str(folder / "admin.key")},
        )
        self.api = httpx2.Client(base_url=self.url, verify=self.context(), timeout=30, trust_env=False)

    def __enter__(self) -> Self:
        try:
            self.etcd.start()
            self.start_apiserver()
            self.manager.start()
            self.wait_for("serviceaccounts", "default", "default")
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End everything."""
        self.api.close()
        for server in (self.manager, self.apiserver, self.etcd):
            server.stop(kill=True)

    def start_apiserver(self) -> None:
        """Start the API server and wait until it is ready."""
        self.apiserver.start()

        def ready() -> bool:
            self.apiserver.check()
            try:
                return self.api.get("/readyz").status_code == 200
            except httpx2.TransportError:
                return False

        wait_until(ready, "the API server is ready", _START_SECONDS)

    def compact(self) -> None:
        """Forget all revisions but the newest, as etcd's own compaction does every five minutes."""
        status = self._run_etcdctl("endpoint", "status", "--write-out=json")
        revision = json.loads(status)[0]["Status"]["header"]["revision"]
        self._run_etcdctl("compact", str(revision))

    def kubectl(self, *arguments: str | Path, stdin: str | None = None, kubeconfig: Path | None = None) -> str:
        """Run kubectl as an administrator, or as another user; return what it prints."""
        command = [str(self._kubectl), "--kubeconfig", str(kubeconfig or self.kubeconfig), *map(str, arguments)]
        done = subprocess.run(command, check=False, input=stdin, capture_output=True, text=True, cwd=self.folder)
        assert done.returncode == 0, f"kubectl {' '.join(map(str, arguments))}: {done.stderr}"
        return done.stdout

    def apply(self, *objects: Mapping[str, Any]) -> None:
        """Apply objects with kubectl."""
        self.kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(objects))

    def get(self, resource: str, name: str, namespace: str = "default") -> dict[str, Any]:
        """Return an object as kubectl gets it."""
        found: dict[str, Any] = json.loads(
            self.kubectl("get", resource, name, "-n", namespace, "-o", "json", "--show-managed-fields")
        )
        return found

    def wait_for(self, resource: str, name: str, namespace: str) -> None:
        """Wait until an object is there."""
        path = f"/api/v1/namespaces/{namespace}/{resource}/{name}"
        wait_until(lambda: self.api.get(path).status_code == 200, f"{resource} {namespace}/{name} is there")

    def install_crds(self) -> None:
        """Apply the CRDs of the chart and wait until they are served."""
        self.kubectl("apply", "--server-side", "-f", CRDS)
        self.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=60s")

    def add_kind(self, group: str, version: str, plural: str, kind: str) -> None:
        """Serve a kind of another controller, whose objects may hold anything."""
        schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
        self.apply(
            {
                "apiVersion": "apiextensions.k8s.io/v1",
                "kind": "CustomResourceDefinition",
                "metadata": {"name": f"{plural}.{group}"},
                "spec": {
                    "group": group,
                    "names": {"kind": kind, "listKind": f"{kind}List", "plural": plural, "singular": kind.lower()},
                    "scope": "Namespaced",
                    "versions": [{"name": version, "served": True, "storage": True, "schema": schema}],
                },
            }
        )
        self.kubectl("wait", "--for=condition=Established", f"crd/{plural}.{group}", "--timeout=60s")

    def service_account(self, namespace: str, name: str, rules: Iterable[Mapping[str, Any]]) -> Path:
        """Make a ServiceAccount with exactly these rules, and return a kubeconfig with a token of it."""
        subject = {"kind": "ServiceAccount", "name": name, "namespace": namespace}
        self.apply(
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}},
            {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": namespace}},
            {
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": "ClusterRole",
                "metadata": {"name": name},
                "rules": [dict(rule) for rule in rules],
            },
            {
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": "ClusterRoleBinding",
                "metadata": {"name": name},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
                "subjects": [subject],
            },
        )
        return self.token_of(namespace, name)

    def token_of(self, namespace: str, name: str) -> Path:
        """Return a kubeconfig with a token of a ServiceAccount that is there."""
        token = self.kubectl("create", "token", name, "-n", namespace, "--duration=24h").strip()
        kubeconfig = self.folder / f"{namespace}-{name}.kubeconfig"
        self._write_kubeconfig(kubeconfig, {"token": token}, namespace)
        return kubeconfig

    def requests(self) -> list[dict[str, Any]]:
        """Return all that service accounts have asked, oldest first: the audit log."""
        log = self.folder / "audit.log"
        return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []

    def counter(self) -> Requests:
        """Return what counts Kiteway's requests from now on: it alone has a service account here."""
        return Requests(self.folder / "audit.log")

    def _run_etcdctl(self, *arguments: str) -> str:
        command = [str(self._etcdctl), "--endpoints", self._etcd_url, *arguments]
        return subprocess.run(
            command, check=True, capture_output=True, text=True, env={**os.environ, "ETCDCTL_API": "3"}
        ).stdout

    def _write_certificates(self) -> None:
        self._authority.cert_pem.write_to_path(self.folder / "ca.crt")
        server = self._authority.issue_cert("127.0.0.1", "localhost", "kubernetes.default.svc")
        admin = self._authority.issue_cert("admin.test", common_name="admin", organization_name="system:masters")
        for name, certificate in (("server", server), ("admin", admin)):
            certificate.private_key_pem.write_to_path(self.folder / f"{name}.key")
            (self.folder / f"{name}.crt").write_bytes(b"".join(pem.bytes() for pem in certificate.cert_chain_pems))
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        (self.folder / "service-accounts.key").write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.TraditionalOpenSSL,
                serialization.NoEncryption(),
            )
        )
        (self.folder / "audit.yaml").write_text(yaml.safe_dump(_AUDIT))

    def context(self) -> ssl.SSLContext:
        """Return the TLS of an administrator."""
        context = ssl.create_default_context(cafile=self.folder / "ca.crt")
        context.load_cert_chain(self.folder / "admin.crt", self.folder / "admin.key")
        return context

    def _write_kubeconfig(self, file: Path, user: Mapping[str, str], namespace: str = "default") -> None:
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {
                    "name": "test",
                    "cluster": {"server": self.url, "certificate-authority": str(self.folder / "ca.crt")},
                }
            ],
            "users": [{"name": "test", "user": dict(user)}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test", "namespace": namespace}}],
            "current-context": "test",
        }
        file.touch(mode=0o600)
        file.write_text(yaml.safe_dump(document))

    def _etcd_command(self) -> list[str | Path]:
        peer = f"http://127.0.0.1:{lasting_port()}"
        return [
            debian_programs("etcd-server", "etcd-client")["etcd"],
            f"--data-dir={self.folder / 'etcd'}",
            f"--listen-client-urls={self._etcd_url}",
            f"--advertise-client-urls={self._etcd_url}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
            "--unsafe-no-fsync",
        ]

    def _apiserver_command(self, binary: Path) -> list[str | Path]:
        keys = self.folder / "service-accounts.key"
        return [
            binary,
            f"--etcd-servers={self._etcd_url}",
            "--bind-address=127.0.0.1",
            "--advertise-address=10.244.255.254",
            f"--secure-port={self.port}",
            f"--tls-cert-file={self.folder / 'server.crt'}",
            f"--tls-private-key-file={self.folder / 'server.key'}",
            f"--client-ca-file={self.folder / 'ca.crt'}",
            "--authorization-mode=RBAC",
            "--service-cluster-ip-range=10.96.0.0/16",
            f"--service-account-issuer={self.url}",
            f"--service-account-key-file={keys}",
            f"--service-account-signing-key-file={keys}",
            "--disable-admission-plugins=ServiceAccount",
            "--endpoint-reconciler-type=none",
            f"--audit-policy-file={self.folder / 'audit.yaml'}",
            f"--audit-log-path={self.folder / 'audit.log'}",
        ]

    def _manager_command(self, binary: Path) -> list[str | Path]:
        return [
            binary,
            f"--kubeconfig={self.kubeconfig}",
            f"--controllers={_CONTROLLERS}",
            "--leader-elect=false",
            "--bind-address=127.0.0.1",
            "--secure-port=0",
            f"--service-account-private-key-file={self.folder / 'service-accounts.key'}",
            "--kube-api-qps=500",
            "--kube-api-burst=1000",
        ]


_AUDIT = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [
        {"level": "Metadata", "userGroups": ["system:serviceaccounts"]},
        {"level": "None"},
    ],
}
