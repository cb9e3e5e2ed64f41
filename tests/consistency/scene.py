"""Two Milvus clusters behind two hosts of one Kiteway, and beside it plain Envoy."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import functools
import itertools
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import yaml
from pymilvus import MilvusClient
from pymilvus.grpc_gen import milvus_pb2

from kiteway.certificates.create import KeyPair
from kiteway.demo.guide import HOST, SERVICE, manifests, secret
from kiteway.files import write_atomic
from kiteway.milvus.embedded import StandaloneMilvus, TLSFiles, Tuning
from kiteway.milvus.embedded.ports import free_ports
from kiteway.model import PrivateKey
from kiteway.resources.kinds.milvus_policy import MilvusPolicySpec
from tests.chaos.balancers import plain_envoy
from tests.chaos.world import World, world
from tests.consistency.catalogue import PASSWORDS, POOLS, ROOT, prepare, reset
from tests.consistency.requests import credentials
from tests.support.kiteway import Running, tls_files, up, wait_until
from tests.support.load import Target
from tests.support.reads import channel, service

TIME_TICK_MS = 700
"""
More than Milvus's own 200 ms. Answers are then up to 1.4 s behind, and an answer that a cache thinks newer than it is
breaks a promise; with 200 ms it would be at most 0.4 s behind, and its error would remain within the bound.
"""

_RELEASES = dict(zip(POOLS, ("my-release", "second-release"), strict=True))
"""The name of each Milvus in the manifests, by pool; the first is the guide's."""

CACHE_EXISTS = any(field.name == "cache" for field in dataclasses.fields(MilvusPolicySpec))
"""Whether a policy can turn a cache on."""


@dataclass(frozen=True)
class Scene:
    """
    Two running Milvus clusters, prepared.

    Attributes:
        first: the pool `A`, with the relay before one of its proxies.
        second: the pool `B`.
        front: the certificates that Kiteway shows, by pool.
        numbers: of the runs.
    """

    first: World
    second: StandaloneMilvus
    front: dict[str, TLSFiles]
    numbers: Iterator[int] = dataclasses.field(default_factory=itertools.count)

    def reset(self) -> None:
        """Make everything but the rows as it was before an earlier run."""
        for pool in POOLS:
            reset(pool, functools.partial(self.client, pool))

    def direct(self, pool: str) -> grpc.Channel:
        """Connect to a Milvus past every balancer and relay."""
        return channel(f"127.0.0.1:{self._port(pool)}", self.first.backend, "localhost")

    def client(self, pool: str, database: str = "default") -> MilvusClient:
        """Return a client of root at a Milvus, past every balancer."""
        token = f"{ROOT}:{PASSWORDS[ROOT]}"
        uri = f"https://127.0.0.1:{self._port(pool)}"
        return MilvusClient(
            uri, token=token, db_name=database, server_pem_path=str(self.first.backend), server_name="localhost"
        )

    def target(self, pool: str, port: int) -> Target:
        """Return Kiteway's host for a pool."""
        return Target("Kiteway", f"127.0.0.1:{port}", self.front[pool].cert, _host(pool), "")

    def _port(self, pool: str) -> int:
        return (self.first.cluster.endpoints[0] if pool == "A" else self.second.endpoint).port


@contextlib.asynccontextmanager
async def scene(proxies: int, session_seconds: int = Tuning.session_ttl) -> AsyncIterator[Scene]:
    """
    Start both Milvus clusters and make their users and collections.

    Args:
        proxies: those of the first cluster.
        session_seconds: after so long without a sign of life a process of Milvus is taken for dead, and ends itself.
    """
    tuning = Tuning(session_seconds, authorization=True, time_tick_ms=TIME_TICK_MS)
    async with world(proxies, tuning) as first:
        backend = TLSFiles(first.backend, first.backend.with_suffix(".key"))
        front = {"A": first.front, "B": tls_files(first.folder, "second", _host("B"))}
        async with StandaloneMilvus(first.folder / "second", tls=backend, tuning=tuning) as second:
            found = Scene(first, second, front)
            for pool in POOLS:
                await asyncio.to_thread(prepare, pool, functools.partial(found.client, pool))
            yield found


@contextlib.contextmanager
def balancers(found: Scene, envoy: Path, *, cache: bool) -> Iterator[tuple[Running, Target, Target, Target]]:
    """Run Kiteway and plain Envoy; return Kiteway, its host for each pool, and plain Envoy's for `A`."""
    ours, theirs = free_ports(2)
    with _kiteway(found, ours, envoy, cache=cache) as running, plain_envoy(found.first, theirs):
        targets = found.target("A", ours), found.target("B", ours), found.first.target("Envoy", theirs)
        for target in targets:
            wait_until(functools.partial(_answers, target), f"{target.name} serves {target.server_name}")
        yield running, *targets


def through(target: Target, database: str = "default") -> Callable[[], Any]:
    """Return what makes a client of root through a balancer."""
    return lambda: MilvusClient(
        f"https://{target.address}",
        token=f"{ROOT}:{PASSWORDS[ROOT]}",
        db_name=database,
        server_pem_path=str(target.ca),
        server_name=target.server_name or "",
    )


def _answers(target: Target) -> bool:
    request, metadata = milvus_pb2.GetVersionRequest(), [credentials(ROOT, PASSWORDS[ROOT])]
    with target.connect() as connection:
        try:
            service(connection).GetVersion(request, timeout=2, metadata=metadata)
        except grpc.RpcError:
            return False
        return True


def _host(pool: str) -> str:
    return HOST.replace(_RELEASES["A"], _RELEASES[pool])


@contextlib.contextmanager
def _kiteway(found: Scene, port: int, envoy: Path, *, cache: bool) -> Iterator[Running]:
    """Run ``kiteway up`` with the guide's manifests once for each pool."""
    kept = found.first.folder / "manifests"
    shutil.rmtree(kept, ignore_errors=True)
    shutil.rmtree(found.first.folder / "kiteway", ignore_errors=True)
    at = found.second.endpoint
    places = {"A": [(each.port, each.health_port) for each in found.first.places], "B": [(at.port, at.health_port)]}
    arguments = ["-f", str(kept), "--https-port", str(port), "--http-port", "0", "--drain", "1"]
    arguments += ["--envoy", str(envoy)]
    for pool, release in _RELEASES.items():
        _write_manifests(kept, release, found.front[pool], cache=cache)
        service = SERVICE.replace(_RELEASES["A"], release)
        for serving, health in places[pool]:
            arguments += ["--endpoint", f"{service}=127.0.0.1:{serving},health={health}"]
    with up(arguments, found.first.folder / "kiteway") as running:
        running.wait_healthy(sum(map(len, places.values())))
        yield running


def _write_manifests(folder: Path, release: str, front: TLSFiles, *, cache: bool) -> None:
    folder.mkdir(exist_ok=True)
    original = _RELEASES["A"]
    for file in manifests().glob("*.yaml"):
        (folder / f"{release}-{file.name}").write_text(file.read_text().replace(original, release))
    pair = KeyPair(front.cert.read_bytes(), PrivateKey(front.key.read_bytes()))
    write_atomic(folder / f"{release}-secret.yaml", secret(pair).replace(original.encode(), release.encode()), 0o600)
    if cache:
        spec = {
            "targetRefs": [{"kind": "Service", "name": SERVICE.replace(original, release)}],
            "cache": {"enabled": True},
        }
        metadata = {"name": f"{release}-cache", "namespace": "default"}
        policy = {"apiVersion": "kiteway.io/v1alpha1", "kind": "MilvusPolicy", "metadata": metadata, "spec": spec}
        (folder / f"{release}-policy.yaml").write_text(yaml.safe_dump(policy))
