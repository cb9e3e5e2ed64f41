"""The pipeline keeps removed endpoints for drainingTimeoutSec, and then removes them without a translation."""

from __future__ import annotations

import datetime as dt

from kiteway._proto.envoy.config.core.v3.health_check_pb2 import HealthStatus
from kiteway._proto.envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment
from kiteway.envoy.ads import CLUSTER, ENDPOINT
from kiteway.envoy.settings import EnvoySettings
from kiteway.model import Endpoint
from kiteway.pipeline.pipeline import Outcome, Pipeline
from kiteway.resources import load_documents
from kiteway.sources.files import SourceContent
from kiteway.translate import Options

MANIFESTS = b"""
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: milvus, namespace: default}
spec:
  defaultBackend: {service: {name: milvus, port: {number: 19530}}}
---
apiVersion: v1
kind: Service
metadata:
  name: milvus
  namespace: default
  annotations: {cloud.google.com/backend-config: '{"default": "drains"}', cloud.google.com/neg: '{"ingress": true}'}
spec:
  ports: [{name: milvus, port: 19530}]
---
apiVersion: cloud.google.com/v1
kind: BackendConfig
metadata: {name: drains, namespace: default}
spec:
  connectionDraining: {drainingTimeoutSec: 60}
"""
START = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
A, B = Endpoint("10.0.0.1", 19530), Endpoint("10.0.0.2", 19530)
SERVICE = ("default", "milvus")


def after(seconds: float) -> dt.datetime:
    """Return a time."""
    return START + dt.timedelta(seconds=seconds)


def started() -> Pipeline:
    """Return a pipeline that has A and B."""
    loaded = load_documents(MANIFESTS, "manifests.yaml")
    pipeline = Pipeline(EnvoySettings())
    pipeline.run(SourceContent(loaded.objects, (), ()), {SERVICE: (A, B)}, START, Options())
    return pipeline


def members(outcome: Outcome | None) -> dict[str, str]:
    """Return the addresses of the gRPC cluster with their health, as Envoy will see them."""
    assert outcome is not None
    name = next(name for name in outcome.snapshot[ENDPOINT] if name.endswith("/grpc"))
    message = ClusterLoadAssignment()
    message.ParseFromString(outcome.snapshot[ENDPOINT][name].body)
    return {
        e.endpoint.address.socket_address.address: HealthStatus.Name(e.health_status)
        for locality in message.endpoints
        for e in locality.lb_endpoints
    }


def test_an_endpoint_drains_and_goes() -> None:
    """It is DRAINING after its removal, and `run_drained` removes it when its time is over, not before."""
    pipeline = started()

    left = pipeline.run_endpoints({SERVICE: (A,)}, after(1))

    assert members(left) == {"10.0.0.1": "UNKNOWN", "10.0.0.2": "DRAINING"}
    assert left is not None
    assert left.next_drained == after(61)
    assert pipeline.run_drained(after(60)) is None
    done = pipeline.run_drained(after(61))
    assert members(done) == {"10.0.0.1": "UNKNOWN"}
    assert done is not None
    assert done.next_drained is None


def test_draining_changes_nothing_but_endpoints() -> None:
    """Clusters, routes and listeners are the same objects before, during and after."""
    pipeline = started()
    assert pipeline.outcome is not None
    before = pipeline.outcome.snapshot

    pipeline.run_endpoints({SERVICE: (A,)}, after(1))
    done = pipeline.run_drained(after(61))

    assert done is not None
    assert done.snapshot[CLUSTER] is before[CLUSTER]
    assert {kind for kind, names in done.snapshot.diff(before).items() if names} == {ENDPOINT}


def test_a_translation_does_not_end_a_drain() -> None:
    """An edit of a manifest during a drain does not end it."""
    pipeline = started()
    pipeline.run_endpoints({SERVICE: (A,)}, after(1))
    loaded = load_documents(MANIFESTS, "manifests.yaml")

    again = pipeline.run(SourceContent(loaded.objects, (), ()), {SERVICE: (A,)}, after(2), Options())

    assert members(again)["10.0.0.2"] == "DRAINING"
