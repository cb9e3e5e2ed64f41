"""Outages of the API server do not affect calls."""

from __future__ import annotations

import json
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from kiteway.milvus.embedded import MilvusEndpoint
from kiteway.sources.kubernetes.kinds import WATCHED
from tests.kubernetes.conftest import Bed
from tests.kubernetes.controller import account, controller
from tests.kubernetes.pods import remove, start
from tests.kubernetes.site import ADDRESS, INGRESS, SERVICE, Client, apply_guide, proxy, reachable
from tests.support.kiteway import Running, wait_until
from tests.support.relay import Relay

pytestmark = [pytest.mark.kubernetes, pytest.mark.milvus, pytest.mark.timeout(900)]

FIRST, SECOND = proxy(0), proxy(1)
_LONG = 90.0
"""Seconds in which Kiteway is to follow: a watch is resumed 15 s after the API server is back, at most."""
_CONTROLLERS = 240.0
"""
Seconds for the cluster's own controllers, which are not under test.

After a minute without API server client-go resumes a watch after up to 60 s (``NewReflector``: 30 s, jittered), Pods and
EndpointSlices each on their own, and the EndpointSlice controller tries a Service whose slices it holds for stale again
after doubling pauses.
"""


@dataclass(frozen=True)
class Site:
    """A cluster, Kiteway in it, and a client."""

    bed: Bed
    kiteway: Running
    client: Client

    def troubled(self) -> bool:
        """Tell whether Kiteway says of every kind that it cannot be followed."""
        # There are more collections than the watched kinds, such as that of the Lease.
        found = {d["message"].partition(" ")[0] for d in self._kubernetes_diagnostics()}
        return found >= {kind.collection("") for kind in WATCHED}

    def healed(self) -> bool:
        """Tell whether Kiteway says of no kind that it cannot be followed."""
        return not self._kubernetes_diagnostics()

    def _kubernetes_diagnostics(self) -> list[dict[str, Any]]:
        return [d for d in self.kiteway.report()["diagnostics"] if d["reason"].startswith("Kubernetes")]

    def follows(self) -> None:
        """See a new pod taken, and gone again: changes reach Envoy."""
        start(self.bed.cluster, SECOND)
        self._wait_for({FIRST.address, SECOND.address}, "with the new pod")
        remove(self.bed.cluster, SECOND)
        self._wait_for({FIRST.address}, "without the pod")

    def _wait_for(self, addresses: set[str], what: str) -> None:
        wait_until(lambda: self._slices() == addresses, f"the EndpointSlice is {what}", _CONTROLLERS)
        wait_until(lambda: self._addresses() == addresses, f"Kiteway's pool is {what}", _LONG)

    def _slices(self) -> set[str]:
        answer = self.bed.cluster.api.get(
            "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices",
            params={"labelSelector": f"kubernetes.io/service-name={SERVICE}"},
        )
        found = answer.json()["items"] if answer.status_code == 200 else []
        return {address for slice_ in found for each in slice_.get("endpoints") or () for address in each["addresses"]}

    def _addresses(self) -> set[str]:
        pools = self.kiteway.report()["pools"]
        return {endpoint["address"].rpartition(":")[0] for pool in pools for endpoint in pool["endpoints"]}


@pytest.fixture(scope="module")
def site(bed: Bed, milvus: MilvusEndpoint, free_port: Callable[[], int]) -> Iterator[Site]:
    """Run the guide's balancer on one pod."""
    port = free_port()
    arguments = ("--publish-address", ADDRESS)
    with (
        reachable(milvus, FIRST, SECOND),
        controller(bed.kubeconfig, bed.folder / "kw", port, *arguments) as kiteway,
    ):
        client = Client(port, apply_guide(bed.cluster, FIRST))
        kiteway.wait_healthy(1)
        client.fill()
        yield Site(bed, kiteway, client)


@pytest.fixture
def distant(site: Site, free_port: Callable[[], int]) -> Iterator[tuple[Site, Relay]]:
    """Run another replica, with a network between it and the API server."""
    bed, port = site.bed, free_port()
    with Relay(bed.cluster.port) as relay:
        kubeconfig = bed.folder / "distant.kubeconfig"
        kubeconfig.write_text(bed.kubeconfig.read_text().replace(f":{bed.cluster.port}", f":{relay.port}"))
        with controller(kubeconfig, bed.folder / "distant", port) as kiteway:
            kiteway.wait_healthy(1)
            yield Site(bed, kiteway, Client(port, site.client.ca)), relay


def test_watches_cut(distant: tuple[Site, Relay]) -> None:
    """Watches that are cut repeatedly are resumed at their version: no collection is listed again, no call fails."""
    there, relay = distant
    requests = there.bed.cluster.counter()
    cuts = 5
    with there.client.reads() as reads:
        for _ in range(cuts):
            relay.set_mode("refuse")
            wait_until(there.troubled, "Kiteway misses the API server", _LONG)
            relay.set_mode("pass")
            wait_until(there.healed, "Kiteway has found the API server", _LONG)
        there.follows()

    assert not reads.failures
    assert requests.of("list") == []
    assert _most(requests.of("watch")) <= cuts


def test_slow_answers(distant: tuple[Site, Relay]) -> None:
    """Kiteway follows an API server whose answers take seconds, and sends no request twice."""
    there, relay = distant
    requests = there.bed.cluster.counter()
    relay.set_delay(4.0)
    with there.client.reads() as reads:
        there.follows()
    assert not reads.failures
    assert there.healed()
    assert requests.of("list") == []
    assert requests.of("watch") == []


def test_api_server_away(site: Site) -> None:
    """
    While the API server is down for a minute no call fails; when it is back its collections are listed at
    most once each, and changes take effect again.
    """
    cluster = site.bed.cluster
    requests = cluster.counter()
    with site.client.reads() as reads:
        cluster.apiserver.stop(kill=True)
        over = time.monotonic() + 60
        wait_until(site.troubled, "Kiteway misses the API server", _LONG)
        wait_until(lambda: time.monotonic() > over, "the minute is over", 90)
        cluster.start_apiserver()
        wait_until(site.healed, "Kiteway has found the API server", _LONG)
        site.follows()
        reads.wait_for(50)

    assert not reads.failures
    assert _most(requests.of("list")) <= 1
    # One that is too old, one after the list, and one that the starting server may cut.
    assert _most(requests.of("watch")) <= 3


def test_etcd_compacted(site: Site) -> None:
    """After a compaction the resource versions are gone (410): each collection is listed once, and no call fails."""
    cluster = site.bed.cluster
    requests = cluster.counter()
    with site.client.reads() as reads:
        cluster.apiserver.stop(kill=True)
        wait_until(site.troubled, "Kiteway misses the API server", _LONG)
        cluster.compact()
        cluster.start_apiserver()
        wait_until(site.healed, "Kiteway has found the API server", _LONG)
        site.follows()
        reads.wait_for(50)

    assert not reads.failures
    assert _most(requests.of("list")) <= 1


def test_silent_api_server(site: Site) -> None:
    """
    While the API server is stopped, and neither answers nor refuses, no call fails; afterwards changes take
    effect again.
    """
    cluster = site.bed.cluster
    requests = cluster.counter()
    with site.client.reads() as reads:
        cluster.apiserver.signal(signal.SIGSTOP)
        reads.wait_for(300, _LONG)
        cluster.apiserver.signal(signal.SIGCONT)
        site.follows()

    assert not reads.failures
    assert _most(requests.of("list")) <= 1


def test_permission_taken_and_given_back(site: Site) -> None:
    """Without its rights Kiteway serves the objects last seen and says so; with them again it goes on."""
    cluster = site.bed.cluster
    with site.client.reads() as reads:
        cluster.kubectl("delete", "clusterrolebinding", "kiteway")
        # What was watched before is not looked at again by the API server: only new watches are refused.
        cluster.apiserver.stop(kill=True)
        cluster.start_apiserver()

        def forbidden() -> bool:
            reasons = {d["reason"] for d in site.kiteway.report()["diagnostics"]}
            return "KubernetesForbidden" in reasons

        wait_until(forbidden, "Kiteway says what it may not see", _LONG)
        reads.wait_for(50)
        account(cluster)
        wait_until(site.healed, "Kiteway may see everything again", _LONG)
        site.follows()

    assert not reads.failures


def test_another_writer(site: Site) -> None:
    """Fields that another writer changes in Kiteway's status are restored, without an endless exchange of writes."""
    cluster = site.bed.cluster
    wait_until(lambda: _address(site) == [{"ip": ADDRESS}], "the address is written", _LONG)
    requests = cluster.counter()
    for other in ("192.0.2.1", "192.0.2.2"):
        status = {"status": {"loadBalancer": {"ingress": [{"ip": other}]}}}
        patch = ("patch", "ingress", INGRESS, "--subresource=status", "--type=merge", "-p", json.dumps(status))
        cluster.kubectl(*patch, "--field-manager=other")
        wait_until(lambda: _address(site) == [{"ip": ADDRESS}], "the address is ours again", _LONG)

    assert requests.count("patch", "ingresses") <= 4


def test_nothing_is_written_when_nothing_changes(site: Site) -> None:
    """In a cluster without changes Kiteway requests the Lease and nothing else."""
    cluster = site.bed.cluster
    wait_until(lambda: _address(site) == [{"ip": ADDRESS}], "the address is written", _LONG)
    requests = cluster.counter()
    wait_until(lambda: requests.count("update", "leases") >= 3, "the Lease was renewed three times", _LONG)

    assert requests.count("patch") == 0
    assert requests.count("create") == 0
    assert requests.of("list") == []


def test_mistake_survives_a_restart(site: Site, free_port: Callable[[], int]) -> None:
    """An Ingress with an error is served in its last good form, also after a restart of the container."""
    bed, cluster = site.bed, site.bed.cluster
    folder, port = bed.folder / "mistaken", free_port()
    kept = folder / "state" / "kubernetes.json"
    annotation = "cloud.google.com/backend-config"
    right = cluster.get("service", SERVICE)["metadata"]["annotations"][annotation]

    def retained(kiteway: Running) -> bool:
        return bool(kiteway.report()["configuration"]["retained"])

    try:
        with controller(bed.kubeconfig, folder, port) as kiteway:
            kiteway.wait_healthy(1)
            wrong = f'{annotation}={{"default": "missing"}}'
            cluster.kubectl("annotate", "service", SERVICE, wrong, "--overwrite")
            wait_until(lambda: retained(kiteway), "the last good form is kept")
            wait_until(lambda: kept.exists() and json.loads(kept.read_bytes())["before"], "it is kept in the file, too")
        with controller(bed.kubeconfig, folder, port) as kiteway:
            wait_until(lambda: retained(kiteway), "the last good form is there again")
            kiteway.wait_healthy(1)
            with Client(port, site.client.ca).reads() as reads:
                reads.wait_for(20)
            assert not reads.failures
    finally:
        cluster.kubectl("annotate", "service", SERVICE, f"{annotation}={right}", "--overwrite")
        shutil.rmtree(folder)


def test_container_restart_without_api_server(site: Site, milvus: MilvusEndpoint, free_port: Callable[[], int]) -> None:
    """A container that starts while the API server is away serves the objects last seen."""
    bed, cluster = site.bed, site.bed.cluster
    folder, port = bed.folder / "again", free_port()
    kept = folder / "state" / "kubernetes.json"
    with controller(bed.kubeconfig, folder, port):
        wait_until(kept.exists, "the last good configuration is kept")
        assert kept.stat().st_mode & 0o777 == 0o600
    cluster.apiserver.stop(kill=True)
    try:
        with controller(bed.kubeconfig, folder, port) as kiteway:
            kiteway.wait_healthy(1)
            with Client(port, site.client.ca).reads() as reads:
                reads.wait_for(20)
                cluster.start_apiserver()
                again = Site(bed, kiteway, site.client)
                wait_until(again.healed, "Kiteway has found the API server", _LONG)
                again.follows()
            assert not reads.failures
    finally:
        shutil.rmtree(folder)


def _address(site: Site) -> object:
    return site.bed.cluster.get("ingress", INGRESS)["status"]["loadBalancer"].get("ingress")


def _most(uris: Iterable[str]) -> int:
    """Return how often the collection was asked for that was asked for most."""
    asked = [urlsplit(uri) for uri in uris]
    return max(Counter((uri.path, *parse_qs(uri.query).get("fieldSelector", ())) for uri in asked).values(), default=0)
