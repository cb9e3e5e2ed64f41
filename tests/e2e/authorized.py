"""A real Milvus with authorization, and Kiteway in front of it."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from kiteway.milvus.embedded import StandaloneMilvus, Tuning
from tests.e2e.test_traffic_metrics import MANIFESTS
from tests.support.kiteway import Running, up

ROOT, ALICE = ("root", "Milvus"), ("alice", "alices-P4ssword")


class Front(NamedTuple):
    """
    A running Kiteway.

    Attributes:
        running: the instance.
        port: the port of 127.0.0.1 for plaintext calls.
        metrics: host and port of its metrics.
        manifests: the folder of its manifests.
    """

    running: Running
    port: int
    metrics: str
    manifests: Path

    @property
    def uri(self) -> str:
        """The URI for a PyMilvus client."""
        return f"http://127.0.0.1:{self.port}"


@contextlib.contextmanager
def milvus_with_authorization() -> Iterator[StandaloneMilvus]:
    """Run a Milvus without data, whose only user is `ROOT`, until the end of the ``with``."""
    with tempfile.TemporaryDirectory(prefix="kw-", ignore_cleanup_errors=True) as folder, asyncio.Runner() as loop:
        milvus = StandaloneMilvus(Path(folder) / "milvus", tuning=Tuning(authorization=True))
        loop.run(milvus.start())
        try:
            yield milvus
        finally:
            loop.run(milvus.stop())


@contextlib.contextmanager
def kiteway_before(
    milvus: StandaloneMilvus, free_port: Callable[[], int], *options: str, manifests: str = MANIFESTS
) -> Iterator[Front]:
    """Run ``kiteway up`` with ``options`` until the end of the ``with``; the manifests name the Service my-release-milvus."""
    at, port, metrics = milvus.endpoint, free_port(), f"127.0.0.1:{free_port()}"
    with tempfile.TemporaryDirectory(prefix="kw-") as name:
        folder = Path(name)
        (folder / "manifests").mkdir()
        (folder / "manifests" / "all.yaml").write_text(manifests)
        endpoint = f"my-release-milvus=127.0.0.1:{at.port},health={at.health_port}"
        arguments = ["-f", str(folder / "manifests"), "--endpoint", endpoint, "--metrics-bind", metrics]
        arguments += ["--http-port", str(port), "--https-port", str(free_port()), "--drain", "1", *options]
        with up(arguments, folder / "data") as running:
            running.wait_healthy(1)
            yield Front(running, port, metrics, folder / "manifests")
