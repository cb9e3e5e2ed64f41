"""An invalid Ingress in a cluster with three replicas and a rolling restart does not affect other tenants."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable

import pytest

from kiteway.milvus.embedded import MilvusEndpoint
from tests.kubernetes.cluster import Cluster
from tests.kubernetes.conftest import Bed
from tests.kubernetes.replicas import Replica, Replicas, load_balancer
from tests.kubernetes.site import Client, apply_guide, proxy, reachable
from tests.support.kiteway import wait_until
from tests.support.manifests import Manifest, backend_config, ingress, rule, service
from tests.support.poison import ANNOTATION, SENTENCE, unforeseen

pytestmark = [pytest.mark.kubernetes, pytest.mark.milvus, pytest.mark.timeout(500)]

_REPLICAS = 3
_CLIENTS = 3
_LONG = 90.0
_DRAIN_SECONDS = 30
_RULED, _UNFORESEEN, _INNOCENT = "ruled", "unforeseen", "innocent"


def _tenant(name: str, *headers: str, **annotations: str) -> list[Manifest]:
    """Return a new namespace with an Ingress for one host, and its Service."""
    made = dict(ingress(rule(f"{name}.example.com"), namespace=name, name=name))
    made["metadata"] = {**made["metadata"], "annotations": {**made["metadata"]["annotations"], **annotations}}
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}},
        service(namespace=name, backend_config="milvus"),
        backend_config(namespace=name, customRequestHeaders={"headers": list(headers)}),
        made,
    ]


def test_an_invalid_ingress_affects_no_other(bed: Bed, milvus: MilvusEndpoint, free_port: Callable[[], int]) -> None:
    """
    One Ingress breaks a rule and one is rejected by Envoy only: other tenants' calls succeed and their
    changes take effect, also while all replicas are replaced in turn, and kubectl describe says what is wrong
    with the two.
    """
    cluster, pod, port = bed.cluster, proxy(0), free_port()
    with contextlib.ExitStack() as stack:
        stack.enter_context(reachable(milvus, pod))
        ca = apply_guide(cluster, pod)
        stack.enter_context(unforeseen())
        arguments = ("--drain", str(_DRAIN_SECONDS))
        replicas = Replicas(cluster, bed.kubeconfig, bed.folder, arguments, free_port, http=True)
        stack.callback(replicas.stop)
        for _ in range(_REPLICAS):
            replicas.start().running.wait_healthy(1)
        stack.enter_context(load_balancer([(port, replicas.https_targets)]))
        client = Client(port, ca)
        client.fill()
        reads = [stack.enter_context(client.reads(retries=True)) for _ in range(_CLIENTS)]

        cluster.apply(*_tenant(_RULED, *(f"x-h{number}:v" for number in range(1001))))
        cluster.apply(*_tenant(_UNFORESEEN, **{ANNOTATION: "x"}))
        cluster.apply(*_tenant(_INNOCENT))
        _judged(replicas.all.values())
        _described(cluster)

        for old in list(replicas.all.values()):
            replicas.start().running.wait_healthy(1)
            replicas.end(old)
            for each in reads:
                each.wait_for(20)
        _judged(replicas.all.values())
        _described(cluster)

        assert [dict(each.failures) for each in reads] == [{}] * _CLIENTS


def _judged(replicas: Iterable[Replica]) -> None:
    """Wait until every replica serves the innocent tenant and none of the others, and says so."""

    def judged(replica: Replica) -> bool:
        status = replica.running.report()
        hosts = {host["host"] for host in status["hosts"]}
        reasons = {d["reason"] for d in status["diagnostics"] if d["severity"] == "error"}
        right = f"{_INNOCENT}.example.com" in hosts and f"{_UNFORESEEN}.example.com" not in hosts
        return right and {"HeadersTooMany", "RejectedByEnvoy"} <= reasons and status["ready"]

    for replica in replicas:
        wait_until(lambda replica=replica: judged(replica), "the culprits are found", _LONG)  # type: ignore[misc]


def _described(cluster: Cluster) -> None:
    """Wait until kubectl describe says of each culprit why."""

    def says(kind: str, name: str, *words: str) -> bool:
        text = cluster.kubectl("describe", kind, name, "--namespace", name if kind == "ingress" else _RULED)
        return all(word in text for word in words)

    wait_until(lambda: says("ingress", _UNFORESEEN, "RejectedByEnvoy", SENTENCE), "describe says why", _LONG)
    wait_until(lambda: says("backendconfig", "milvus", "HeadersTooMany"), "describe says why", _LONG)
