"""MilvusPolicies on a real API server: what it refuses, and what it is told of the others."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from kiteway.resources import load_object
from tests.kubernetes.cluster import Cluster
from tests.kubernetes.conftest import Bed
from tests.kubernetes.controller import controller, refused
from tests.kubernetes.site import SERVICE, apply_guide, remove_guide
from tests.support.kiteway import wait_until
from tests.support.manifests import milvus_policy

pytestmark = [pytest.mark.kubernetes, pytest.mark.timeout(300)]

_LONG = 90.0
_EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "milvuspolicy.yaml"
_CACHE_EXAMPLE = _EXAMPLE.with_name("milvuspolicy-cache.yaml")
_PATH = "/apis/kiteway.io/v1alpha1/namespaces/default/milvuspolicies"
_KIND = "milvuspolicies.kiteway.io"


@pytest.fixture(autouse=True)
def _nothing_left(bed: Bed) -> Iterator[None]:
    yield
    bed.cluster.kubectl("delete", _KIND, "--all")
    remove_guide(bed.cluster)


def _with(**spec: Any) -> dict[str, Any]:
    return {"targetRefs": [{"kind": "Service", "name": "milvus"}], **spec}


def _limited(**limit: Any) -> dict[str, Any]:
    return _with(limits=[{"by": ["user"], **limit}])


def _cached(**more: Any) -> dict[str, Any]:
    outer = {key: more.pop(key) for key in ("targetRefs",) if key in more}
    return _with(cache={"enabled": True, **more}, **outer)


_HEDGED = {"delay": "200ms"}

BAD: list[tuple[dict[str, Any], str]] = [
    ({"hedging": _HEDGED}, "targetRefs"),
    (_with(targetRefs=[]), "targetRefs"),
    (_with(targetRefs=[{"kind": "Pod", "name": "milvus"}]), "Unsupported value"),
    (_with(targetRefs=[{"kind": "Ingress", "name": "milvus"}]), "group must be networking.k8s.io for an Ingress"),
    (_with(targetRefs=[{"group": "apps", "kind": "Service", "name": "milvus"}]), "and empty for a Service"),
    (_with(targetRefs=[{"kind": "Service", "name": "milvus"}] * 2), "a target must not be named twice"),
    (_with(limits=[{"by": ["user"]}]), "set requestsPerSecond, rowsPerSecond, bytesPerSecond or inFlight"),
    (_with(limits=[{"by": [], "inFlight": 1}]), "spec.limits[0].by"),
    (_with(limits=[{"by": ["tenant"], "inFlight": 1}]), "Unsupported value"),
    (_with(limits=[{"by": ["user", "user"], "inFlight": 1}]), "Duplicate value"),
    (
        _with(limits=[{"by": ["user", "database"], "inFlight": 1, "names": ["a"]}]),
        "names must not be set with several keys in by",
    ),
    (_limited(requestsPerSecond=0), "requestsPerSecond"),
    (_limited(requestsPerSecond=1.5), "requestsPerSecond"),
    (_limited(bytesPerSecond="1MB"), "bytesPerSecond"),
    (_limited(bytesPerSecond=0), "bytesPerSecond"),
    (_limited(inFlight=1, burst="1.5s"), "burst"),
    (_limited(inFlight=1, burst="0s"), "must be from 1ms to 1h"),
    (_limited(inFlight=1, names=[""]), "names"),
    (
        _with(limits=[{"by": ["user"], "inFlight": 1, "names": [f"{a}-{b}" for b in range(60)]} for a in range(5)]),
        "at most 256 names",
    ),
    (_with(admission={"maxConcurrentReads": "adaptve"}), "maxConcurrentReads"),
    (_with(admission={"maxConcurrentReads": 0}), "maxConcurrentReads"),
    (_with(admission={"maxConcurrentWrites": "adaptive"}), "maxConcurrentWrites"),
    (_with(admission={"maxWait": "11m"}), "must be from 1ms to 10m"),
    (_with(admission={"maxQueuedBytes": "0"}), "maxQueuedBytes"),
    (_with(hedging={}), "delay"),
    (_with(hedging={"delay": "200"}), "delay"),
    (_with(allowReplication="yes"), "allowReplication"),
    (_with(cache={}), "enabled"),
    (_with(cache={"enabled": "yes"}), "enabled"),
    (_cached(stalenessBound="10s"), "must be from 100ms to 5s"),
    (_cached(eventualBound="2h"), "must be from 100ms to 1h"),
    (_cached(fillLag="5s"), "stalenessBound must be above fillLag"),
    (_cached(maxWait="0s"), "must be from 1ms to 10m"),
    (_cached(memory=1), "memory"),
    (_cached(maxEntryBytes="1MB"), "maxEntryBytes"),
    (_cached(collections=[{"database": "default"}]), "collection"),
    (_cached(collections=[{"collection": "a"}, {"collection": "a", "enabled": False}]), "Duplicate value"),
    (_cached(collections=[{"collection": "a", "stalenessBound": "1s"}]), "of each collection must be above fillLag"),
    (
        _cached(targetRefs=[{"group": "networking.k8s.io", "kind": "Ingress", "name": "milvus"}]),
        "cache must not be set in a policy for an Ingress",
    ),
]


@pytest.mark.parametrize(("spec", "words"), BAD, ids=lambda value: value if isinstance(value, str) else "")
def test_the_api_server_refuses_what_kiteway_refuses(bed: Bed, spec: dict[str, Any], words: str) -> None:
    """A bad policy gets no further than ``kubectl apply``, with words that name the field; Kiteway agrees."""
    policy = {**milvus_policy(), "spec": spec}
    answer = bed.cluster.api.post(_PATH, json=policy, params={"dryRun": "All"})

    assert answer.status_code == 422, answer.text
    assert words in answer.json()["message"]
    assert load_object(policy).objects == ()


def test_the_api_server_takes_the_example(bed: Bed) -> None:
    """And so it does with all that a policy can say; what it stores, Kiteway reads."""
    example = yaml.safe_load(_EXAMPLE.read_text())
    whole = milvus_policy(
        "a",
        ingresses=["b"],
        limits=[{"by": ["database", "collection"], "rowsPerSecond": 10**12, "bytesPerSecond": 5, "burst": "1h"}],
        admission={
            "maxConcurrentReads": 1_000_000,
            "maxConcurrentWrites": 1,
            "maxWait": "1ms",
            "maxQueuedBytes": "1Ti",
        },
    )
    cached = milvus_policy(
        "a",
        cache={
            "enabled": True,
            "stalenessBound": "2s",
            "eventualBound": "1h",
            "fillLag": "1ms",
            "maxWait": "10m",
            "memory": "16Gi",
            "maxEntryBytes": 1024,
            "collections": [{"collection": "a", "enabled": False}, {"database": "b", "collection": "a"}],
        },
    )
    for policy in (example, yaml.safe_load(_CACHE_EXAMPLE.read_text()), whole, cached):
        answer = bed.cluster.api.post(_PATH, json=policy, params={"dryRun": "All"})
        assert answer.status_code == 201, answer.text
        assert load_object(answer.json()).diagnostics == ()


def _conditions(cluster: Cluster, name: str) -> dict[str, tuple[str, str]]:
    """Return status and reason of the condition Accepted, by target."""
    status = cluster.get(_KIND, name).get("status", {})
    return {
        f"{entry['ancestorRef']['kind']} {entry['ancestorRef']['name']}": (condition["status"], condition["reason"])
        for entry in status.get("ancestors", ())
        for condition in entry["conditions"]
        if condition["type"] == "Accepted"
    }


def test_conditions_say_what_became_of_each_target(bed: Bed, free_port: Callable[[], int]) -> None:
    """
    One of two policies has the Service, the other is Conflicted until the first goes; a target that is not there is
    TargetNotFound. Kiteway needs no right that the chart does not give it.
    """
    cluster = bed.cluster
    apply_guide(cluster)
    begin = (cluster.folder / "audit.log").stat().st_size
    cluster.apply(milvus_policy(SERVICE, name="older", hedging=_HEDGED))
    created = cluster.get(_KIND, "older")["metadata"]["creationTimestamp"]

    def younger() -> bool:
        # The API server counts whole seconds.
        cluster.kubectl("delete", _KIND, "a-younger", "--ignore-not-found")
        cluster.apply(milvus_policy(SERVICE, "missing", name="a-younger", hedging=_HEDGED))
        return bool(cluster.get(_KIND, "a-younger")["metadata"]["creationTimestamp"] > created)

    wait_until(younger, "the other policy is younger", 30)
    with controller(bed.kubeconfig, bed.folder / "policies", free_port()) as kiteway:
        held = {f"Service {SERVICE}": ("True", "Accepted")}
        wait_until(lambda: _conditions(cluster, "older") == held, "the older policy is Accepted", _LONG)
        wait_until(
            lambda: (
                _conditions(cluster, "a-younger")
                == {f"Service {SERVICE}": ("False", "Conflicted"), "Service missing": ("False", "TargetNotFound")}
            ),
            "the younger policy is Conflicted",
            _LONG,
        )
        reported = {d["reason"] for d in kiteway.status()["diagnostics"]}
        table = cluster.kubectl("get", _KIND)
        cluster.kubectl("delete", _KIND, "older")
        wait_until(
            lambda: _conditions(cluster, "a-younger")[f"Service {SERVICE}"] == ("True", "Accepted"),
            "the younger policy has the Service",
            _LONG,
        )
        version = cluster.get(_KIND, "a-younger")["metadata"]["resourceVersion"]
        log = kiteway.log.read_text()

    assert {"PolicyConflicted", "PolicyTargetNotFound"} <= reported
    assert re.search(r"older +Accepted", table)
    assert "status refused" not in log
    assert cluster.get(_KIND, "a-younger")["metadata"]["resourceVersion"] == version, "it was written once"
    assert refused(cluster, begin=begin) == []


def test_limits_are_divided_among_the_live_replicas(bed: Bed, free_port: Callable[[], int]) -> None:
    """Each replica knows how many there are, and that one has gone; without ACME too."""
    cluster = bed.cluster
    apply_guide(cluster)
    with controller(bed.kubeconfig, bed.folder / "one", free_port()) as one:
        wait_until(lambda: one.status()["replicas"] == 1, "there is one replica", _LONG)
        with controller(bed.kubeconfig, bed.folder / "two", free_port()) as two:
            wait_until(lambda: one.status()["replicas"] == 2, "the first one sees two replicas", _LONG)
            wait_until(lambda: two.status()["replicas"] == 2, "the second one sees two replicas", _LONG)
        wait_until(lambda: one.status()["replicas"] == 1, "there is one replica again", _LONG)
