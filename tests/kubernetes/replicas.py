"""Several replicas of Kiteway behind one address, with a CA that validates through it."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kiteway.controlplane.config import read
from tests.kubernetes.cluster import Cluster
from tests.kubernetes.controller import NAMESPACE, controller
from tests.kubernetes.forward import pump
from tests.support.kiteway import Running, wait_until
from tests.support.pebble import Pebble

ADDRESS = "203.0.113.7"


def acme_options(pebble: Pebble, directory: str = "") -> tuple[str, ...]:
    """Return the options by which Kiteway asks the CA."""
    options = ("--acme-accept-terms", "--acme-contact", "admin@milvus.io", "--acme-ca", str(pebble.ca_file))
    return (*options, "--acme-directory", directory or pebble.directory, "--acme-resolver", f"127.0.0.1:{pebble.dns}")


@dataclass
class Replica:
    """
    One replica.

    Attributes:
        running: its process.
        https_port, http_port: where it serves.
        stack: ends it.
    """

    running: Running
    https_port: int
    http_port: int
    stack: contextlib.ExitStack

    @property
    def identity(self) -> str:
        """Its name among the others."""
        kubernetes = read(self.running.instance.controlplane_file).kubernetes
        assert kubernetes is not None
        return kubernetes.identity

    def managed(self, name: str) -> dict[str, Any]:
        """Return its status of a ManagedCertificate; an empty one while it has not heard of it."""
        found = self.running.status()["managedCertificates"]
        return next((each for each in found if each["name"] == f"default/{name}"), {})

    def signal(self, number: int) -> None:
        """Send a signal to its control plane."""
        pid, _ = self.running.child("controlplane")
        assert pid is not None
        os.kill(pid, number)


@dataclass
class Replicas:
    """
    The replicas of a Deployment.

    Attributes:
        cluster: where they run.
        kubeconfig: who they are.
        folder: for their files.
        arguments: of each.
        free_port: gives the ports.
        http: whether they listen for HTTP.
        all: by number; never the same number twice.
        http_targets, https_targets: where a load balancer finds them.
    """

    cluster: Cluster
    kubeconfig: Path
    folder: Path
    arguments: tuple[str, ...]
    free_port: Callable[[], int]
    http: bool = True
    all: dict[int, Replica] = field(default_factory=dict)
    http_targets: list[int] = field(default_factory=list)
    https_targets: list[int] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def start(self) -> Replica:
        """Start one more; wait until it is ready."""
        number = next(self._numbers)
        https_port, http_port = self.free_port(), self.free_port()
        stack = contextlib.ExitStack()
        arguments = (*self.arguments, "--publish-address", ADDRESS, "--http-port", str(http_port if self.http else 0))
        running = stack.enter_context(controller(self.kubeconfig, self.folder / f"kw{number}", https_port, *arguments))
        self.all[number] = Replica(running, https_port, http_port, stack)
        self.http_targets.append(http_port)
        self.https_targets.append(https_port)
        return self.all[number]

    def leader(self) -> Replica:
        """Return the one that holds the Lease."""
        found: list[Replica] = []

        def look() -> bool:
            holder = self.cluster.get("lease", "kiteway", NAMESPACE)["spec"].get("holderIdentity")
            found[:] = [each for each in self.all.values() if each.identity == holder]
            return bool(found)

        wait_until(look, "a replica that runs holds the Lease", 90)
        return found[0]

    def kill(self, replica: Replica) -> None:
        """Kill one with -9, as the end of a node does."""
        replica.running.process.send_signal(signal.SIGKILL)
        self.end(replica)

    def stop(self) -> None:
        """End all of them in order."""
        for replica in list(self.all.values()):
            self.end(replica)

    def until_active(self, name: str, limit: float = 120.0) -> str:
        """Wait until kubectl shows a certificate as Active and every replica serves it; return its fingerprint."""

        def active() -> bool:
            status = self.cluster.get("managedcertificate", name).get("status", {})
            return bool(status.get("certificateStatus") == "Active")

        def fingerprints() -> set[str]:
            return {each.managed(name).get("fingerprint", "") for each in self.all.values()}

        wait_until(active, f"ManagedCertificate {name} is Active", limit)
        wait_until(lambda: len(fingerprints()) == 1 and "" not in fingerprints(), "all serve it", 60)
        return fingerprints().pop()

    def end(self, replica: Replica) -> None:
        """End one in order, as a rolling restart does: it gets no new connections, and drains."""
        [number] = [n for n, each in self.all.items() if each is replica]
        del self.all[number]
        self.https_targets.remove(replica.https_port)
        self.http_targets.remove(replica.http_port)
        replica.stack.close()


@contextlib.contextmanager
def load_balancer(ports: Sequence[tuple[int, list[int]]]) -> Iterator[None]:
    """Hand connections to each port on to its targets in turn; a target that does not answer is passed over."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    writers: set[asyncio.StreamWriter] = set()

    async def start() -> list[asyncio.Server]:
        return [await asyncio.start_server(_in_turn(targets, writers), "127.0.0.1", port) for port, targets in ports]

    servers = asyncio.run_coroutine_threadsafe(start(), loop).result(10)
    try:
        yield
    finally:
        asyncio.run_coroutine_threadsafe(_close(servers, writers), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


def _in_turn(targets: list[int], writers: set[asyncio.StreamWriter]) -> Any:
    turn = itertools.count()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.add(writer)
        try:
            for _ in range(len(targets)):
                try:
                    there = await asyncio.open_connection("127.0.0.1", targets[next(turn) % len(targets)])
                except OSError:
                    continue
                writers.add(there[1])
                try:
                    await asyncio.gather(pump(reader, there[1]), pump(there[0], writer))
                finally:
                    writers.discard(there[1])
                    there[1].transport.abort()
                break
        finally:
            writers.discard(writer)
            writer.transport.abort()

    return handle


async def _close(servers: list[asyncio.Server], writers: set[asyncio.StreamWriter]) -> None:
    for server in servers:
        server.close()
    for writer in writers:
        writer.transport.abort()
    others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    await asyncio.gather(*others, return_exceptions=True)
    # Transports that were aborted are closed in the next turn of the loop.
    await asyncio.sleep(0)
