"""Every metric and label that an alert or the dashboard asks for is on the page of a running Kiteway."""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import re
import shutil
import tempfile
import urllib.request
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from pathlib import Path

import grpc
import pytest
import yaml

from kiteway.filter import filter_path, missing_reason
from tests.e2e.traffic import NOT_READY_RESULT, OK_RESULT, SEARCH, Backend, eventually
from tests.support.kiteway import up
from tests.support.manifests import milvus_policy

pytestmark = [pytest.mark.e2e, pytest.mark.skipif(filter_path() is None, reason=missing_reason())]

ROOT = Path(__file__).parents[2]
METRIC = re.compile(r"\b(?:kiteway|envoy)_[a-z0-9_]+(?=[{\[)\s]|$)")
SAMPLE, LABEL = re.compile(r"^(\w+)(?:\{(.*)\})? ", re.MULTILINE), re.compile(r'(\w+)="')
SELECTED = re.compile(r"(\w+)\s*(?:=~|!~|!=|=)\s*\"")
GROUPED = re.compile(r"\bby \(([^)]*)\)")
RARE = (
    "envoy_kiteway_refused_total",
    "envoy_kiteway_queue_time_bucket",
    "envoy_cluster_kiteway_not_ready_total",
    "kiteway_cache_bypasses_total",
    "kiteway_call_errors_total",
    "kiteway_user_call_errors_total",
)
"""Metrics that appear with their first event."""
OF_PROMETHEUS = {"instance", "le"}
"""Labels that are on no page: Prometheus adds the first, and the parser leaves the other to buckets."""

MANIFESTS = """
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: milvus
  annotations: {networking.gke.io/managed-certificates: milvus}
spec:
  defaultBackend: {service: {name: milvus, port: {number: 19530}}}
  rules: [{host: milvus.example.com, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: milvus, port: {number: 19530}}}}]}}]
---
apiVersion: networking.gke.io/v1
kind: ManagedCertificate
metadata: {name: milvus}
spec: {domains: [milvus.example.com]}
---
apiVersion: v1
kind: Service
metadata: {name: milvus, annotations: {cloud.google.com/neg: '{"ingress": true}'}}
spec:
  ports: [{name: milvus, port: 19530, targetPort: 19530}]
"""


def queries() -> list[str]:
    """Return the expressions of the alerts and of the dashboard."""
    groups = yaml.safe_load((ROOT / "deploy/prometheus/kiteway.yaml").read_text())["groups"]
    panels = json.loads((ROOT / "deploy/grafana/kiteway.json").read_text())["panels"]
    alerts = [rule["expr"] for group in groups for rule in group["rules"]]
    return alerts + [target["expr"] for panel in panels for target in panel.get("targets", ())]


@pytest.fixture(scope="module")
def labels(free_port: Callable[[], int]) -> Iterator[Mapping[str, AbstractSet[str]]]:
    """Return the labels of each series of a Kiteway that has refused a call, cached a read and lost an export."""
    folder = Path(tempfile.mkdtemp(prefix="kw-"))
    manifests = folder / "manifests"
    manifests.mkdir()
    (manifests / "all.yaml").write_text(MANIFESTS)
    limit = {"by": ["user"], "requestsPerSecond": 1}
    policy = milvus_policy("milvus", limits=[limit], admission={"maxConcurrentReads": 1, "maxWait": "1s"})
    (manifests / "policy.yaml").write_text(yaml.safe_dump(dict(policy)))
    port, metrics = free_port(), free_port()
    try:
        with Backend() as backend:
            arguments = [
                "-f",
                str(manifests),
                "--endpoint",
                f"milvus=127.0.0.1:{backend.port},health={backend.health_port}",
            ]
            arguments += ["--http-port", str(port), "--https-port", str(free_port()), "--drain", "1", "--cache"]
            arguments += ["--metrics-bind", f"127.0.0.1:{metrics}", "--trace-sampling", "100"]
            arguments += ["--otlp-endpoint", f"http://127.0.0.1:{free_port()}"]
            with up(arguments, folder / "data") as running:
                running.wait_healthy(1)
                yield _scraped(port, metrics, backend)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _scraped(port: int, metrics: int, backend: Backend) -> Mapping[str, AbstractSet[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    answers: Iterator[bytes | grpc.StatusCode] = itertools.cycle(
        (OK_RESULT, NOT_READY_RESULT, grpc.StatusCode.INTERNAL)
    )

    def complete() -> bool:
        backend.answer = next(answers)
        _call(port, [f"user-{number}" for number in range(8)] + ["root"] * 3)
        with urllib.request.urlopen(f"http://127.0.0.1:{metrics}/metrics", timeout=10) as response:
            text = response.read().decode()
        for name, labels in SAMPLE.findall(text):
            found[name] |= set(LABEL.findall(labels))
        return all(name in found for name in RARE) and 'envoy_cluster_name="otlp"' in text

    eventually(complete, "calls fail, are refused and wait, reads pass the cache by, and an export is lost", 60)
    return found


def _call(port: int, users: list[str]) -> None:
    """Search as many users at once."""
    options = [("grpc.default_authority", "milvus.example.com")]
    with grpc.insecure_channel(f"127.0.0.1:{port}", options=options) as channel:
        search: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(SEARCH)
        tokens = [base64.b64encode(f"{user}:Milvus".encode()).decode() for user in users]
        calls = [search.future(b"", timeout=10, metadata=(("authorization", token),)) for token in tokens]
        for each in calls:
            with contextlib.suppress(grpc.RpcError):
                each.result()


@pytest.mark.parametrize("query", queries())
def test_a_query_finds_its_series(labels: Mapping[str, AbstractSet[str]], query: str) -> None:
    """Each metric of a query is on the page, with each label that the query selects or groups by."""
    grouped = {label.strip() for group in GROUPED.findall(query) for label in group.split(",")}
    metrics = set(METRIC.findall(query)) - grouped
    assert metrics
    assert metrics <= labels.keys(), sorted(metrics - labels.keys())
    asked = (grouped | set(SELECTED.findall(query))) - OF_PROMETHEUS
    known = set.union(*(set(labels[metric]) for metric in metrics))
    assert asked <= known, sorted(asked - known)
