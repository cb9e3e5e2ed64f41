"""Runs `kiteway up` as a user does: as a separate process."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import yaml

from kiteway.certificates.create import KeyPair, create_self_signed
from kiteway.demo.guide import SERVICE, manifests, secret
from kiteway.files import write_atomic
from kiteway.instance import Instance
from kiteway.milvus.embedded import TLSFiles
from kiteway.model import PrivateKey
from kiteway.status.client import read_status
from kiteway.supervisor import read_state

KITEWAY = Path(sys.executable).with_name("kiteway")


def wait_until(condition: Callable[[], object], what: str, limit: float = 60.0) -> None:
    """Wait until ``condition`` gives something true; fail with ``what`` after ``limit`` seconds."""
    deadline = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < deadline, f"not within {limit} s: {what}"
        time.sleep(0.05)


def wait_listening(port: int) -> None:
    """
    Wait until a process listens on a port of 127.0.0.1.

    Envoy opens a listener after the endpoints behind it are there, so that these may be healthy before.
    """

    def listening() -> bool:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=10).close()
        except OSError:
            return False
        return True

    wait_until(listening, f"a process listens on port {port}")


class Running:
    """A running ``kiteway up``."""

    def __init__(self, process: subprocess.Popen[bytes], instance: Instance, log: Path) -> None:
        self.process = process
        self.instance = instance
        self.log = log

    def status(self) -> dict[str, Any]:
        """Return the value of ``kiteway status --output json``."""
        value: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(read_status(self.instance)))
        return value

    def report(self) -> dict[str, Any]:
        """Return the same once the control plane answers, however busy the machine is."""
        found: dict[str, Any] = {}

        def answered() -> bool:
            found.update(self.status())
            return bool(found["answered"])

        wait_until(answered, "the control plane answers", 120.0)
        return found

    def child(self, name: str) -> tuple[int | None, int]:
        """Return pid and restarts of a child."""
        state = read_state(self.instance.supervisor_file)
        assert state is not None
        return state.children[name].pid, state.children[name].restarts

    def wait_ready(self) -> None:
        """Wait until the first configuration is active."""

        def ready() -> bool:
            assert self.process.poll() is None, self.log.read_text()
            return self.instance.status_socket.exists() and bool(self.status()["ready"])

        wait_until(ready, "kiteway up is ready", limit=90.0)

    def wait_healthy(self, endpoints: int) -> None:
        """Wait until so many endpoints are healthy."""

        def healthy() -> bool:
            found = [e["healthy"] for pool in self.status()["pools"] for e in pool["endpoints"]]
            return found.count(True) >= endpoints

        wait_until(healthy, f"{endpoints} healthy endpoints")

    def kill(self, name: str) -> None:
        """Kill a child with -9 and wait until it is back."""
        pid, restarts = self.child(name)
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: self.child(name)[1] > restarts and self.child(name)[0] not in {None, pid}, f"{name} is back")


@contextlib.contextmanager
def up(arguments: Sequence[str | Path], data_dir: Path, *, open_files: int | None = None) -> Iterator[Running]:
    """Run ``kiteway up`` with ``arguments`` until the end of the ``with``, where a process may open so many files."""
    limited = [] if open_files is None else ["sh", "-c", f'ulimit -n {open_files} && exec "$@"', "sh"]
    log = data_dir.with_suffix(".log")
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*limited, KITEWAY, "up", "--data-dir", data_dir, *arguments], stdout=output, stderr=subprocess.STDOUT
        )
    running = Running(process, Instance(data_dir), log)
    try:
        running.wait_ready()
        yield running
    finally:
        process.terminate()
        try:
            process.wait(45)
        except subprocess.TimeoutExpired:
            process.kill()
            raise


@contextlib.contextmanager
def up_with_guide(
    data_dir: Path,
    front: TLSFiles,
    port: int,
    endpoints: Sequence[tuple[int, int]],
    *,
    drain: float = 5.0,
    replaces: Path | None = None,
    policy: Mapping[str, Any] | None = None,
    options: Sequence[str] = (),
) -> Iterator[Running]:
    """
    Run ``kiteway up`` with the guide's manifests, nothing else changed in them, on an HTTPS port of 127.0.0.1.

    Args:
        data_dir: the manifests are put beside it.
        front: the certificate for clients.
        port: the HTTPS port.
        endpoints: serving port and health port of each Milvus proxy.
        drain: seconds for calls in flight at the end.
        replaces: the data directory of the instance whose place it takes.
        policy: the spec of a MilvusPolicy for the Service, but for its targetRefs.
        options: more options of the command.
    """
    kept = data_dir.with_name(f"{data_dir.name}-manifests")
    shutil.copytree(manifests(), kept)
    if policy:
        service = yaml.safe_load((kept / "service.yaml").read_text())["metadata"]
        metadata = {"name": "policy", "namespace": service.get("namespace", "default")}
        spec = {"targetRefs": [{"kind": "Service", "name": service["name"]}], **policy}
        written = {"apiVersion": "kiteway.io/v1alpha1", "kind": "MilvusPolicy", "metadata": metadata, "spec": spec}
        (kept / "policy.yaml").write_text(yaml.safe_dump(written))
    pair = KeyPair(front.cert.read_bytes(), PrivateKey(front.key.read_bytes()))
    write_atomic(kept / "secret.yaml", secret(pair), 0o600)
    arguments = ["-f", str(kept), "--https-port", str(port), "--http-port", "0", "--drain", str(drain), *options]
    if replaces is not None:
        arguments += ["--replace", str(replaces)]
    for serving, health in endpoints:
        arguments += ["--endpoint", f"{SERVICE}=127.0.0.1:{serving},health={health}"]
    with up(arguments, data_dir) as running:
        running.wait_healthy(len(endpoints))
        yield running


def tls_files(folder: Path, name: str, host: str) -> TLSFiles:
    """Make a self-signed certificate for ``host`` and 127.0.0.1 in ``folder``."""
    pair = create_self_signed([host], ["127.0.0.1"], key_type="RSA")
    files = TLSFiles(folder / f"{name}.crt", folder / f"{name}.key")
    files.cert.write_bytes(pair.certificate)
    write_atomic(files.key, pair.key.reveal(), 0o600)
    return files
