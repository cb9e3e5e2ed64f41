"""
A large cluster: 1,000 Ingresses and Services, 10,000 endpoints where so many fit, on a real API server.

The bench measures the time until Envoy runs all of it, the time from one EndpointSlice's change to Envoy while 50
others change every second, the number of lists, and the memory.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import dataclasses
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any

import httpx2

from bench.outcome import Context, Outcome, Table
from bench.processes import fitting_endpoints
from kiteway.certificates.create import create_self_signed
from kiteway.envoy.admin import AdminClient
from kiteway.instance import Instance
from kiteway.supervisor import read_state
from tests.kubernetes.cluster import Cluster, Requests
from tests.kubernetes.controller import account
from tests.support.kiteway import KITEWAY
from tools.kubernetes.build import built

NAMESPACES, SERVICES = 10, 100
"""Namespaces, and Services (and Ingresses) in each."""
ENDPOINTS = fitting_endpoints(NAMESPACES * SERVICES, 10)
"""Endpoints of each Service: 10, or what this machine lets Envoy hold."""
CHURN = 50
"""EndpointSlices that change every second beside the one that is measured."""

_AT_ONCE = 16
_START_SECONDS = 300.0
_CHANGE_SECONDS = 30.0
_POLL_SECONDS = 0.005
_PORT = 8443


async def run(context: Context) -> Outcome:
    """Fill a cluster, start `kiteway controller` on it, and measure."""
    title = "A large cluster"
    if not built():
        reason = "the Kubernetes API server is not built: `make test-kubernetes` does it."
        return Outcome(title, (), (), (), {}, (f"A large cluster was not measured: {reason}",))
    # A folder with a short name: sockets are in it.
    folder = Path(tempfile.mkdtemp(prefix="kw-"))
    try:
        with Cluster(folder) as cluster:
            cluster.install_crds()
            kubeconfig = account(cluster)
            context.say("filling the cluster")
            async with _client(cluster) as api:
                await _fill(api)
                return await _measure(context, cluster, kubeconfig, api, title)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.asynccontextmanager
async def _client(cluster: Cluster) -> AsyncIterator[httpx2.AsyncClient]:
    transport = httpx2.AsyncHTTPTransport(verify=cluster.context())
    async with httpx2.AsyncClient(base_url=cluster.url, transport=transport, timeout=60) as client:
        yield client


async def _fill(api: httpx2.AsyncClient) -> None:
    limit = asyncio.Semaphore(_AT_ONCE)

    async def post(path: str, body: dict[str, Any]) -> None:
        async with limit:
            (await api.post(path, json=body)).raise_for_status()

    for namespace in _namespaces():
        meta = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
        await post("/api/v1/namespaces", meta)
    await asyncio.gather(*(post(path, body) for namespace in _namespaces() for path, body in _objects(namespace)))


def _namespaces() -> list[str]:
    return [f"bench-{number}" for number in range(NAMESPACES)]


def _objects(namespace: str) -> Iterable[tuple[str, dict[str, Any]]]:
    pair = create_self_signed([f"*.{namespace}.milvus.io"])
    yield (
        f"/api/v1/namespaces/{namespace}/secrets",
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "tls"},
            "type": "kubernetes.io/tls",
            "data": {
                "tls.crt": base64.b64encode(pair.certificate).decode(),
                "tls.key": base64.b64encode(pair.key.reveal()).decode(),
            },
        },
    )
    # The endpoints do not exist. The check has the longest interval that GKE allows, so that it affects the figures
    # little.
    check = {"type": "HTTP", "port": 9091, "requestPath": "/healthz", "checkIntervalSec": 300, "timeoutSec": 1}
    yield (
        f"/apis/cloud.google.com/v1/namespaces/{namespace}/backendconfigs",
        {
            "apiVersion": "cloud.google.com/v1",
            "kind": "BackendConfig",
            "metadata": {"name": "check"},
            "spec": {"healthCheck": check},
        },
    )
    for number in range(SERVICES):
        name = f"milvus-{number}"
        yield f"/api/v1/namespaces/{namespace}/services", _service(name)
        yield f"/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices", _slice(namespace, number, 0)
        yield f"/apis/networking.k8s.io/v1/namespaces/{namespace}/ingresses", _ingress(namespace, name)


def _service(name: str) -> dict[str, Any]:
    annotations = {
        "cloud.google.com/app-protocols": '{"milvus":"HTTP2"}',
        "cloud.google.com/backend-config": '{"default": "check"}',
        "cloud.google.com/neg": '{"ingress": true}',
    }
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "annotations": annotations},
        "spec": {"ports": [{"name": "milvus", "port": 19530, "targetPort": "milvus"}]},
    }


def _ingress(namespace: str, name: str) -> dict[str, Any]:
    backend = {"service": {"name": name, "port": {"number": 19530}}}
    path = {"path": "/", "pathType": "Prefix", "backend": backend}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": name},
        "spec": {
            "tls": [{"secretName": "tls"}],
            "rules": [{"host": f"{name}.{namespace}.milvus.io", "http": {"paths": [path]}}],
        },
    }


def _slice(namespace: str, number: int, turn: int) -> dict[str, Any]:
    """Return a slice whose first endpoint has another address with every turn."""
    first, second = int(namespace.rpartition("-")[2]), number
    addresses = [f"10.{64 + first}.{second}.{10 + i}" for i in range(ENDPOINTS)]
    addresses[0] = f"10.{128 + first}.{turn % 250}.{second}"
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": f"milvus-{number}",
            "labels": {"kubernetes.io/service-name": f"milvus-{number}"},
        },
        "addressType": "IPv4",
        "ports": [{"name": "milvus", "port": 19530}],
        "endpoints": [{"addresses": [address], "conditions": {"ready": True}} for address in addresses],
    }


async def _put_slice(api: httpx2.AsyncClient, namespace: str, number: int, turn: int) -> str:
    body = _slice(namespace, number, turn)
    path = f"/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices/milvus-{number}"
    (await api.put(path, json=body)).raise_for_status()
    address: str = body["endpoints"][0]["addresses"][0]
    return address


async def _measure(
    context: Context, cluster: Cluster, kubeconfig: Path, api: httpx2.AsyncClient, title: str
) -> Outcome:
    folder = cluster.folder / "kw"
    instance = Instance(folder)
    counter = cluster.counter()
    command = [KITEWAY, "controller", "--kubeconfig", kubeconfig, "--data-dir", folder, "--bind", "127.0.0.1"]
    command += ["--https-port", str(_PORT), "--http-port", "0", "--lease-namespace", "kiteway-system", "--drain", "0"]
    command += ["--namespace-limit", f"endpoints={SERVICES * ENDPOINTS}"]
    with (cluster.folder / "kiteway.log").open("wb") as log:
        began = time.monotonic()
        process = await asyncio.create_subprocess_exec(*map(str, command), stdout=log, stderr=log)
    try:
        ready = await _until_active(instance, began)
        context.say(
            f"all of it runs after {ready.active:.1f} s, {ready.active - ready.started:.1f} s after the control plane's start"
        )
        lists = counter.count("list")
        memory = _memory(instance)
        written = await _until_written(counter, began)
        context.say(f"every status is written after {written:.1f} s")
        changes = await _changes(context, api, instance)
        peak = _memory(instance)
    finally:
        process.terminate()
        await process.wait()
    figures = {
        "start": ready.active - ready.started,
        "command": ready.active,
        "written": written,
        "changes": changes,
        "lists": lists,
        "memory": memory,
        "peak": peak,
    }
    return _outcome(title, figures)


@dataclasses.dataclass(frozen=True)
class _Ready:
    """Seconds from the command: until the control plane's process was there, and until Envoy ran everything."""

    started: float
    active: float


async def _until_active(instance: Instance, began: float) -> _Ready:
    started = 0.0
    deadline = began + _START_SECONDS
    async with AdminClient(instance.admin_socket) as admin:
        while time.monotonic() < deadline:
            await asyncio.sleep(0.05)
            if not started and instance.ads_socket.exists():
                started = time.monotonic() - began
            with contextlib.suppress(Exception):
                # The statistics are read only now, because reading those of 1,000 clusters delays Envoy.
                if not await admin.ready():
                    continue
                active = await admin.stats(r"^cluster_manager.active_clusters$")
                # Every Service has a cluster, beside the control plane's own.
                if active and next(iter(active.values())) >= NAMESPACES * SERVICES:
                    return _Ready(started, time.monotonic() - began)
    raise TimeoutError(f"Envoy did not run everything within {_START_SECONDS} s")


async def _until_written(counter: Requests, began: float) -> float:
    """Return when every Ingress and every Service had its status, in seconds from the command."""
    deadline = began + _START_SECONDS
    while counter.count("patch") < 2 * NAMESPACES * SERVICES:
        if time.monotonic() > deadline:
            raise TimeoutError(f"not every status was written within {_START_SECONDS} s")
        await asyncio.sleep(0.5)
    return time.monotonic() - began


async def _changes(context: Context, api: httpx2.AsyncClient, instance: Instance) -> list[float]:
    """Return the seconds that each measured change took to Envoy."""
    stop = asyncio.Event()
    churn = asyncio.create_task(_churn(api, stop))
    found = []
    try:
        async with httpx2.AsyncClient(
            transport=httpx2.AsyncHTTPTransport(uds=str(instance.admin_socket)), base_url="http://envoy"
        ) as admin:
            for turn in range(1, max(100, context.rounds) + 1):
                address = await _put_slice(api, "bench-0", 0, turn)
                began = time.monotonic()
                await _until_seen(admin, "pool/bench-0/milvus-0/19530/grpc", address)
                found.append(time.monotonic() - began)
                await asyncio.sleep(0.1)
    finally:
        stop.set()
        await churn
    return found


async def _until_seen(admin: httpx2.AsyncClient, cluster: str, address: str) -> None:
    parameters = {"resource": "dynamic_endpoint_configs", "include_eds": "", "name_regex": cluster}
    deadline = time.monotonic() + _CHANGE_SECONDS
    while time.monotonic() < deadline:
        answer = await admin.get("/config_dump", params=parameters)
        if f'"{address}"' in answer.text:
            return
        await asyncio.sleep(_POLL_SECONDS)
    raise TimeoutError(f"{address} did not come to {cluster} within {_CHANGE_SECONDS} s")


async def _churn(api: httpx2.AsyncClient, stop: asyncio.Event) -> None:
    clock = asyncio.get_running_loop().time
    turn, next_at = 0, clock()
    while not stop.is_set():
        turn += 1
        number = turn % SERVICES
        await _put_slice(api, f"bench-{1 + turn % (NAMESPACES - 1)}", number, turn)
        next_at += 1 / CHURN
        await asyncio.sleep(max(0.0, next_at - clock()))


def _memory(instance: Instance) -> dict[str, float]:
    """Return the resident MiB of both children."""
    state = read_state(instance.supervisor_file)
    found = {}
    for name, child in (state.children if state else {}).items():
        text = Path(f"/proc/{child.pid}/status").read_text()
        fields = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
        found[name] = int(fields["VmRSS"].split()[0]) / 1024
        found[f"{name} peak"] = int(fields["VmHWM"].split()[0]) / 1024
    return found


def _outcome(title: str, figures: dict[str, Any]) -> Outcome:
    ranked = sorted(figures["changes"])
    p50, p99 = ranked[len(ranked) // 2], ranked[min(len(ranked) - 1, int(0.99 * len(ranked)))]
    rows = [
        ("from the control plane's start until Envoy has everything", f"{figures['start']:.1f} s"),
        ("from the command until Envoy has everything", f"{figures['command']:.1f} s"),
        ("from the command until every status is written", f"{figures['written']:.1f} s"),
        ("from one EndpointSlice's change until Envoy has it, median", f"{p50 * 1000:.0f} ms"),
        ("from one EndpointSlice's change until Envoy has it, 99th percentile", f"{p99 * 1000:.0f} ms"),
        ("lists requested from the API server at the start", f"{figures['lists']}"),
        ("control plane's memory, after the start", f"{figures['memory']['controlplane']:.0f} MiB"),
        ("control plane's memory, at most", f"{figures['peak']['controlplane peak']:.0f} MiB"),
        ("Envoy's memory", f"{figures['peak']['envoy']:.0f} MiB"),
    ]
    services = NAMESPACES * SERVICES
    text = (
        f"{services:,} Ingresses, as many Services, {services * ENDPOINTS:,} endpoints on a real API server on the same "
        f"machine. While {len(ranked)} changes of one EndpointSlice are measured, from the API server's answer to "
        f"Envoy's own dump, {CHURN} others change every second."
    )
    return Outcome(title, (text,), (Table(title, ("", "measured"), rows),), (), figures)
