"""The Milvus of the demo: its kind, its network namespace and its endpoints."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

from kiteway.certificates.create import create_self_signed
from kiteway.demo.guide import HEALTH_PORT, SERVICE, SERVING_PORT
from kiteway.files import write_atomic
from kiteway.milvus.embedded import (
    LiteCluster,
    LiteMilvus,
    MilvusCluster,
    MilvusEndpoint,
    StandaloneMilvus,
    TLSFiles,
    Tuning,
)
from kiteway.netns import NetworkNamespace, NetworkNamespaceError
from kiteway.sources.static import StaticEndpoint

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Backend:
    """
    A running Milvus.

    Attributes:
        endpoints: its proxies.
        namespace: the network namespace in which it listens; None for this machine's own.
        title: its description for people.
    """

    endpoints: tuple[StaticEndpoint, ...]
    namespace: NetworkNamespace | None
    title: str


@contextlib.asynccontextmanager
async def embedded(data_dir: Path, proxies: int, say: Say, *, auth: bool) -> AsyncIterator[Backend]:
    """
    Run the full Milvus with TLS on, in its own network namespace if that is permitted.

    Milvus listens on every address of its network, whatever its configuration says.
    """
    with contextlib.ExitStack() as stack:
        namespace: NetworkNamespace | None = None
        try:
            namespace = stack.enter_context(NetworkNamespace.create())
        except NetworkNamespaceError as error:
            say(f"WARNING: Milvus listens on every address of this machine, not only on loopback ({error}).")
        files = _backend_certificate(data_dir)
        tuning = Tuning(authorization=auth)
        login = ", with a login" if auth else ""
        if proxies > 1:
            cluster = MilvusCluster(
                data_dir / "milvus", proxies=proxies, tls=files, netns=namespace, tuning=tuning, on_progress=say
            )
            async with cluster:
                title = f"a Milvus 2.3.5 cluster with {proxies} proxies, TLS on{login}"
                yield Backend(tuple(map(_static, cluster.endpoints)), namespace=namespace, title=title)
            return
        # In its own namespace the guide's ports are free.
        ports = (SERVING_PORT, HEALTH_PORT) if namespace else (None, None)
        server = StandaloneMilvus(
            data_dir / "milvus",
            port=ports[0],
            health_port=ports[1],
            tls=files,
            netns=namespace,
            tuning=tuning,
            on_progress=say,
        )
        async with server:
            yield Backend((_static(server.endpoint),), namespace=namespace, title=f"a full Milvus 2.3.5, TLS on{login}")


@contextlib.asynccontextmanager
async def lite(data_dir: Path, proxies: int, say: Say) -> AsyncIterator[Backend]:
    """Run Milvus Lite behind proxies with TLS and a health port; it runs on every platform, and listens on loopback only."""
    folder = data_dir / "milvus"
    folder.mkdir(parents=True, exist_ok=True)
    store = LiteMilvus(folder / "store", on_progress=say)
    async with LiteCluster(
        folder, store, proxies=proxies, tls=_backend_certificate(data_dir), on_progress=say
    ) as cluster:
        behind = "a proxy" if proxies == 1 else f"{proxies} proxies"
        yield Backend(
            tuple(map(_static, cluster.endpoints)), namespace=None, title=f"Milvus Lite behind {behind}, TLS on"
        )


def _static(endpoint: MilvusEndpoint) -> StaticEndpoint:
    return StaticEndpoint("default", SERVICE, endpoint.address, endpoint.port, endpoint.health_port)


def _backend_certificate(data_dir: Path) -> TLSFiles:
    """Make Milvus's own certificate; GKE's balancer accepts any, and so does Kiteway without a CA."""
    pair = create_self_signed([SERVICE], ["127.0.0.1"], key_type="RSA")
    folder = data_dir / "backend-tls"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_atomic(folder / "tls.key", pair.key.reveal(), 0o600)
    write_atomic(folder / "tls.crt", pair.certificate)
    return TLSFiles(folder / "tls.crt", folder / "tls.key")
