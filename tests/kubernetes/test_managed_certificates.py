"""ManagedCertificates in a cluster: a real CA, a real API server, and several replicas."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from kiteway.acme.temporary import ORGANIZATION
from kiteway.demo.guide import HOST, manifests
from kiteway.milvus.embedded import MilvusEndpoint
from tests.kubernetes.conftest import Bed
from tests.kubernetes.controller import NAMESPACE, account, controller, refused
from tests.kubernetes.pods import start
from tests.kubernetes.replicas import ADDRESS, Replicas, acme_options, load_balancer
from tests.kubernetes.site import INGRESS, proxy, reachable
from tests.support.acme_front import Front, front
from tests.support.kiteway import KITEWAY, wait_until
from tests.support.pebble import Pebble, fingerprint, organization, served

pytestmark = [pytest.mark.kubernetes, pytest.mark.timeout(600)]

GUIDE = manifests("guide-google-managed")
CERTIFICATE = "my-release-milvus-tls"
VALUES = {"acme": {"acceptTerms": True, "contact": "admin@milvus.io"}}


@pytest.fixture(scope="module")
def pebble(bed: Bed, free_port: Callable[[], int]) -> Iterator[Pebble]:
    """Return a CA that refuses a fifth of the nonces, takes its time, and remembers no validation."""
    with Pebble(bed.folder / "ca", free_port, environment={"PEBBLE_AUTHZREUSE": "0"}) as ca:
        yield ca


@pytest.fixture(scope="module")
def kubeconfig(bed: Bed) -> Path:
    """Return who Kiteway is, with exactly the chart's rights."""
    return account(bed.cluster, VALUES)


def _statuses(text: str) -> list[str]:
    """Return the distinct states of a ManagedCertificate in the order in which ``kubectl get -o yaml -w`` showed them."""
    documents = [each for each in yaml.safe_load_all(text) if each]
    shown = [each.get("status", {}).get("certificateStatus", "") for each in documents]
    return [each for number, each in enumerate(shown) if number == 0 or each != shown[number - 1]]


@contextlib.contextmanager
def _watching(bed: Bed, output: Path) -> Iterator[None]:
    """Run the guide's ``kubectl get -f ./managed-crt.yaml -o yaml -w``."""
    command = [str(bed.cluster._kubectl), "--kubeconfig", str(bed.cluster.kubeconfig), "get", "-o", "yaml", "-w"]
    with output.open("wb") as file:
        process = subprocess.Popen([*command, "-f", str(GUIDE / "managed-crt.yaml")], stdout=file)
    try:
        yield
    finally:
        process.terminate()
        process.wait(30)


def _verified(port: int, environment: dict[str, str]) -> dict[str, Any]:
    """Connect with PyMilvus as the guide does, without server_pem_path; gRPC reads its roots once in a process's life."""
    command = [str(KITEWAY), "verify", f"127.0.0.1:{port}", "--server-name", HOST, "--output", "json"]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=120, check=False, env={**os.environ, **environment}
    )
    report: dict[str, Any] = json.loads(done.stdout)
    return report


@pytest.mark.milvus
def test_the_guides_second_form(bed: Bed, kubeconfig: Path, milvus: MilvusEndpoint, pebble: Pebble) -> None:
    """
    The guide's manifests, applied with kubectl: the Ingress gets its address, the certificate is Provisioning
    until the name resolves to it, then Active, and PyMilvus connects without server_pem_path; with exactly
    the chart's rights.
    """
    cluster, watched = bed.cluster, bed.folder / "watched.yaml"
    assert pebble.set_dns("set-default-ipv4", {"ip": ""})
    options = ("--publish-address", ADDRESS, "--http-port", str(pebble.http_port), *acme_options(pebble))
    with (
        reachable(milvus, proxy(0)),
        controller(kubeconfig, bed.folder / "kw", pebble.tls_port, *options) as kiteway,
    ):
        start(cluster, proxy(0))
        cluster.kubectl("apply", "-f", GUIDE)
        with _watching(bed, watched):
            wait_until(lambda: ADDRESS in cluster.kubectl("get", "ingress", INGRESS), "the Ingress has its address", 60)
            header, ingress = [line.split() for line in cluster.kubectl("get", "ingress", INGRESS).splitlines()]
            wait_until(lambda: "FailedNotVisible" in watched.read_text(), "the name leads nowhere yet", 60)
            before = cluster.get("managedcertificate", CERTIFICATE)["status"]
            assert organization(served(pebble.tls_port)) == ORGANIZATION
            assert pebble.orders() == 0
            described = ("describe", "managedcertificate", CERTIFICATE)
            wait_until(
                lambda: f"it should resolve to {ADDRESS}" in cluster.kubectl(*described), "describe says why", 60
            )

            assert pebble.set_dns("set-default-ipv4", {"ip": "127.0.0.1"})
            wait_until(lambda: _statuses(watched.read_text())[-1] == "Active", "kubectl shows Active", 120)
        after = cluster.get("managedcertificate", CERTIFICATE)["status"]
        columns, row = [line.split() for line in cluster.kubectl("get", "managedcertificate").splitlines()]
        certificate = served(pebble.tls_port, pebble.roots())
        kiteway.wait_healthy(1)
        untrusted = _verified(pebble.tls_port, {})
        trusted = _verified(pebble.tls_port, {"GRPC_DEFAULT_SSL_ROOTS_FILE_PATH": str(pebble.roots())})
        forbidden = [line for line in kiteway.log.read_text().splitlines() if "forbidden" in line.lower()]

    assert header == ["NAME", "CLASS", "HOSTS", "ADDRESS", "PORTS", "AGE"]
    assert ingress[:-1] == [INGRESS, "<none>", HOST, ADDRESS, "80"]
    assert (before["certificateStatus"], before["domainStatus"]) == (
        "Provisioning",
        [{"domain": HOST, "status": "FailedNotVisible"}],
    )
    assert [status for status in _statuses(watched.read_text()) if status] == ["Provisioning", "Active"]
    assert after["certificateName"] == before["certificateName"]
    assert re.fullmatch(r"mcrt-[0-9a-f-]{36}", after["certificateName"])
    assert after["domainStatus"] == [{"domain": HOST, "status": "Active"}]
    assert after["expireTime"][:19] == certificate.not_valid_after_utc.isoformat()[:19]
    assert (columns, row[0], row[2]) == (["NAME", "AGE", "STATUS"], CERTIFICATE, "Active")
    assert untrusted["failure"]["reason"] == "Certificate"
    assert trusted["verified"] is True
    assert (pebble.accounts(), pebble.orders()) == (1, 1)
    assert forbidden == []
    assert refused(cluster) == []
    cluster.kubectl("delete", "-f", GUIDE)


def _resources(name: str, host: str, annotations: dict[str, str] | None = None) -> list[dict[str, Any]]:
    """Return a ManagedCertificate, and an Ingress that names it."""
    metadata = {"name": name, "namespace": "default"}
    backend = {"service": {"name": "none", "port": {"number": 19530}}}
    return [
        {
            "apiVersion": "networking.gke.io/v1",
            "kind": "ManagedCertificate",
            "metadata": metadata,
            "spec": {"domains": [host]},
        },
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "Ingress",
            "metadata": {
                **metadata,
                "annotations": {"networking.gke.io/managed-certificates": name, **(annotations or {})},
            },
            "spec": {
                "ingressClassName": "kiteway",
                "rules": [{"host": host, "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}],
            },
        },
    ]


SERVICE = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "none", "namespace": "default", "annotations": {"cloud.google.com/neg": '{"ingress": true}'}},
    "spec": {"ports": [{"name": "milvus", "port": 19530}]},
}


class Site:
    """Three replicas behind one address, and a front of the CA."""

    def __init__(self, bed: Bed, pebble: Pebble, ca: Front, replicas: Replicas) -> None:
        self.cluster = bed.cluster
        self.pebble = pebble
        self.ca = ca
        self.replicas = replicas

    def apply(self, name: str, annotations: dict[str, str] | None = None) -> str:
        """Ask for a certificate of a new host; return the host."""
        self.cluster.apply(*_resources(name, f"{name}.milvus.io", annotations))
        return f"{name}.milvus.io"


@pytest.fixture(scope="module")
def site(bed: Bed, kubeconfig: Path, pebble: Pebble, free_port: Callable[[], int]) -> Iterator[Site]:
    """Return three replicas."""
    bed.cluster.apply(SERVICE)
    with front(bed.folder / "ca", free_port(), pebble.port) as ca:
        replicas = Replicas(bed.cluster, kubeconfig, bed.folder, acme_options(pebble, ca.directory), free_port)
        with load_balancer([(pebble.tls_port, replicas.https_targets), (pebble.http_port, replicas.http_targets)]):
            try:
                for _ in range(3):
                    replicas.start()
                yield Site(bed, pebble, ca, replicas)
            finally:
                replicas.stop()


def _orders(site: Site) -> tuple[int, int]:
    return site.pebble.orders(), site.pebble.accounts()


def test_three_replicas_make_one_order(site: Site) -> None:
    """
    With port 80 closed to clients the CA's validation requests reach all replicas in turn; there is one
    order, and all serve one certificate that is stored in a Secret.
    """
    orders = site.pebble.orders()
    host = site.apply("one", {"kubernetes.io/ingress.allow-http": "false"})

    found = site.replicas.until_active("one")

    for replica in site.replicas.all.values():
        certificate = served(replica.https_port, site.pebble.roots(), host)
        assert fingerprint(certificate) == found
    assert site.pebble.orders() - orders == 1
    secrets = json.loads(site.cluster.kubectl("get", "secrets", "-n", NAMESPACE, "-o", "json"))["items"]
    stored = [s for s in secrets if s["type"] == "kiteway.io/acme" and "certificate" in s.get("data", {})]
    assert any(s["metadata"]["annotations"]["kiteway.io/storage-folder"].endswith("/default/one") for s in stored)
    assert not any("challenges" in s.get("data", {}) for s in secrets)
    logs = "".join(each.running.log.read_text() for each in site.replicas.all.values())
    for data in (folder for each in site.replicas.all.values() for folder in each.running.instance.log_dir.iterdir()):
        logs += data.read_text(errors="replace")
    assert "PRIVATE KEY" not in logs


def test_the_ca_is_asked_only_when_every_replica_shows_the_challenge(site: Site) -> None:
    """
    The leader waits for a live replica that does not show the challenge yet, and names it; then the CA
    validates successfully.
    """
    validations = _validations(site)
    leader = site.replicas.leader()
    late = next(each for each in site.replicas.all.values() if each is not leader)
    with site.ca.holding("/authZ/") as hold:
        site.apply("late")
        assert hold.reached.wait(60)
        _wait_for_a_beat(site, late.identity)
        late.signal(signal.SIGSTOP)
        try:
            hold.go_on.set()
            wait_until(lambda: late.identity in leader.managed("late").get("waitingFor", ""), "it is waited for", 12)
            waited = leader.managed("late")["waitingFor"]
            assert _validations(site) == validations
        finally:
            late.signal(signal.SIGCONT)
    site.replicas.until_active("late")

    assert " of 3 replicas to show the challenge: " in waited


def test_a_replica_that_died_is_not_waited_for(site: Site) -> None:
    """The leader waits for a killed replica no longer than a Lease lasts."""
    leader = site.replicas.leader()
    site.replicas.kill(next(each for each in site.replicas.all.values() if each is not leader))
    try:
        site.apply("without")
        site.replicas.until_active("without")
    finally:
        site.replicas.start()


@pytest.mark.parametrize("path", ["/order-plz", "/authZ/", "/finalize-order/", "/certZ/"])
def test_the_leader_is_killed(site: Site, path: str) -> None:
    """After a kill -9 before any of its requests to the CA, the next leader finishes: one order, no new account."""
    before = _orders(site)
    name = f"killed-{path.strip('/').partition('-')[0].lower()}"
    with site.ca.holding(path) as hold:
        site.apply(name)
        assert hold.reached.wait(60)
        hold.drop, site.ca.hold = True, None
        site.replicas.kill(site.replicas.leader())
    site.replicas.start()
    site.replicas.until_active(name)

    orders, accounts = _orders(site)
    assert (orders - before[0], accounts - before[1]) == (1, 0)


def test_renewal_on_demand(site: Site) -> None:
    """``kiteway cert renew`` in any Pod makes the leader renew, and all replicas serve the new certificate."""
    site.apply("renewed")
    first = site.replicas.until_active("renewed")
    orders = site.pebble.orders()
    leader = site.replicas.leader()
    other = next(each for each in site.replicas.all.values() if each is not leader)

    subprocess.run(
        [KITEWAY, "cert", "renew", "renewed", "--data-dir", other.running.instance.data_dir],
        check=True,
        timeout=240,
        capture_output=True,
    )

    wait_until(lambda: site.replicas.until_active("renewed") != first, "another certificate", 60)
    assert site.pebble.orders() - orders == 1


def test_the_charts_rights_were_enough(site: Site) -> None:
    """The API server has refused no request in any of these tests."""
    assert refused(site.cluster) == []


def test_a_container_starts_while_the_api_server_is_away(site: Site) -> None:
    """A container that restarts without the API server serves the issued certificate."""
    host = site.apply("kept")
    found = site.replicas.until_active("kept")
    replica = next(iter(site.replicas.all.values()))
    folder = replica.running.instance.state_dir
    wait_until(lambda: b"/default/kept" in (folder / "acme.json").read_bytes(), "the certificate is kept")

    def kept() -> set[str]:
        objects = json.loads((folder / "kubernetes.json").read_bytes())["objects"]
        return {each["kind"] for each in objects if each["metadata"]["name"] == "kept"}

    # Whatever there is, is, every five seconds; the one may have come just before, and the other just after.
    wait_until(lambda: kept() >= {"Ingress", "ManagedCertificate"}, "both objects are kept")
    site.cluster.apiserver.stop(kill=True)
    try:
        replica.running.kill("controlplane")
        wait_until(lambda: replica.managed("kept").get("fingerprint") == found, "it is known again", 60)
        assert fingerprint(served(replica.https_port, site.pebble.roots(), host)) == found
    finally:
        site.cluster.start_apiserver()


def test_tls_alpn_01(site: Site) -> None:
    """Without a port for HTTP all replicas show the challenge in the handshake."""
    site.replicas.stop()
    site.replicas.http = False
    for _ in range(3):
        site.replicas.start()
    orders = site.pebble.orders()
    host = site.apply("alpn")

    found = site.replicas.until_active("alpn")

    assert fingerprint(served(site.pebble.tls_port, site.pebble.roots(), host)) == found
    assert site.pebble.orders() - orders == 1


def _validations(site: Site) -> int:
    return (site.pebble.folder / "pebble.log").read_text(errors="replace").count("Attempting to validate")


def _wait_for_a_beat(site: Site, identity: str) -> None:
    """Wait until a replica says anew that it lives."""

    def beat() -> str:
        annotations = site.cluster.get("lease", "kiteway-replicas", NAMESPACE)["metadata"].get("annotations", {})
        return next((text for text in annotations.values() if json.loads(text)["name"] == identity), "")

    first = beat()
    wait_until(lambda: beat() != first, "the replica says that it lives", 30)
