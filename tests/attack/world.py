"""One running ``kiteway up`` with a victim, and the measurements of the victim during an attack."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kiteway.files import write_atomic
from tests.attack.calls import Calls, answered
from tests.attack.live import Live
from tests.attack.tenant import ATTACKER, DOMAIN, VICTIM, cache, ingress, tenant, text, tls_secret
from tests.e2e.traffic import Backend
from tests.support.certificates import Issued, authority, issue
from tests.support.kiteway import Running, up, wait_until
from tests.support.manifests import Manifest
from tests.support.ports import lasting_port

HOST = f"a.{DOMAIN}"

CACHE_VARIABLE = "KITEWAY_ATTACK_CACHE"
"""The environment variable that turns the victim's cache on, if it is not empty."""

LIMIT_SECONDS = 15.0
"""How long is waited for what may never come."""


@dataclass(frozen=True)
class Ports:
    """Where Kiteway listens on 127.0.0.1."""

    https: int = field(default_factory=lasting_port)
    http: int = field(default_factory=lasting_port)
    metrics: int = field(default_factory=lasting_port)


@dataclass
class World:
    """
    A Kiteway with tenants.

    Attributes:
        running: the process.
        ports: where it listens.
        tenants: the folder it reads; one file a tenant.
        backend: the Milvus of every tenant.
        authority: who signs the victim's certificates.
        calls: the victim's client, which calls all the time.
        live: asks for ``/live`` all the time.
    """

    running: Running
    ports: Ports
    tenants: Path
    backend: Backend
    authority: Issued
    calls: Calls
    live: Live
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def write(self, name: str, objects: Sequence[Manifest]) -> None:
        """Put a file with ``objects`` in the place of the one of that name."""
        write_atomic(self.tenants / f"{name}.json", text(objects), 0o600)

    def change(self) -> float:
        """
        Give the victim another host with its own certificate, and wait until a client of it is served.

        That needs a virtual host, a filter chain and a secret. Return the seconds; `LIMIT_SECONDS` if it never came.
        """
        return self.arrived(self.change_begun())

    def change_begun(self) -> tuple[str, float]:
        """Write the victim's change; return its host and when it was written."""
        name = f"n{next(self._numbers)}"
        host = f"{name}.{DOMAIN}"
        objects = [
            ingress(VICTIM, [host], name=name, tls=[name]),
            tls_secret(name, VICTIM, issue(host, issuer=self.authority)),
        ]
        begin = time.monotonic()
        self.write(f"victim-{name}", objects)
        return host, begin

    def arrived(self, change: tuple[str, float]) -> float:
        """Wait until a change has arrived; return the seconds since it was written, at most `LIMIT_SECONDS`."""
        host, begin = change
        while not self.serves(host):
            if time.monotonic() - begin > LIMIT_SECONDS:
                return LIMIT_SECONDS
            time.sleep(0.02)
        return time.monotonic() - begin

    def serves(self, host: str = HOST) -> bool:
        """Tell whether a new client of the victim is served."""
        return answered(self.ports.https, host, self.authority.crt)

    def kill(self, *children: str) -> float:
        """Kill children of the supervisor; return the seconds until a new client of the victim is served."""
        restarts = {name: self.running.child(name)[1] for name in children}
        begin = time.monotonic()
        with self.calls.interrupted():
            for name in children:
                pid, _ = self.running.child(name)
                assert pid is not None, f"{name} is away"
                os.kill(pid, signal.SIGKILL)
            back = lambda: all(self.running.child(name)[1] > before for name, before in restarts.items())  # noqa: E731
            wait_until(back, f"{children} are started again")
            while not self.serves():
                if time.monotonic() - begin > LIMIT_SECONDS:
                    break
                time.sleep(0.02)
            took = time.monotonic() - begin
            wait_until(lambda: self.running.status()["answered"], "the control plane answers", 60)
        return min(took, LIMIT_SECONDS)

    def refusals(self, *namespaces: str) -> list[str]:
        """
        Return the codes of what Kiteway says is wrong with the objects of these namespaces, the worst first.

        That the health port is not Milvus's is said of every tenant here.
        """
        found = [d for d in self.running.report()["diagnostics"] if (d["object"] or {}).get("namespace") in namespaces]
        order = {"error": 0, "warning": 1}
        found = [d for d in found if d["severity"] in order and d["reason"] != "HealthCheckPort"]
        return list(dict.fromkeys(d["reason"] for d in sorted(found, key=lambda d: order[d["severity"]])))

    def knows(self, name: str) -> bool:
        """Tell whether Kiteway says anything of a tenant's objects, or of its file."""
        return name in json.dumps(self.running.report())

    def status(self) -> dict[str, Any]:
        """Return ``kiteway status``."""
        return self.running.report()

    def memory(self) -> int:
        """Return the bytes that the control plane and Envoy held at most since they were started."""
        return sum(_peak(pid) for name in ("controlplane", "envoy") if (pid := self.running.child(name)[0]))

    def logged(self) -> int:
        """Return the bytes of all logs."""
        return sum(file.stat().st_size for file in self.running.instance.log_dir.rglob("*") if file.is_file())


@contextlib.contextmanager
def world(
    *arguments: str, first: Callable[[Backend], Sequence[Manifest]] = lambda _: (), ports: Ports | None = None
) -> Iterator[World]:
    """
    Run Kiteway with a victim until the end of the ``with``.

    Args:
        arguments: further ones of ``kiteway up``.
        first: makes what the attacker has there before the first start.
        ports: where it listens; free ones, if left out.
    """
    ports = ports or Ports()
    folder = Path(tempfile.mkdtemp(prefix="kw-"))
    ca = authority()
    tenants = folder / "tenants"
    tenants.mkdir()
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        backend = stack.enter_context(Backend())
        victim = [
            *tenant(VICTIM, backend),
            ingress(VICTIM, [HOST], tls=["tls"]),
            tls_secret("tls", VICTIM, issue(HOST, issuer=ca)),
        ]
        has_cache = bool(os.environ.get(CACHE_VARIABLE))
        if has_cache:
            victim.append(cache(VICTIM))
        (tenants / "victim.json").write_bytes(text(victim))
        (tenants / f"{ATTACKER}.json").write_bytes(text(first(backend)))
        options = ["-f", str(tenants), "--https-port", str(ports.https), "--http-port", str(ports.http)]
        options += ["--metrics-bind", f"127.0.0.1:{ports.metrics}", "--drain", "0", *arguments]
        running = stack.enter_context(up(options, folder / "kw"))
        running.wait_healthy(1)
        wait_until(lambda: answered(ports.https, HOST, ca.crt), "the victim is served", 30)
        calls = stack.enter_context(Calls(ports.https, HOST, ca.crt))
        live = stack.enter_context(Live(ports.metrics))
        if has_cache:
            wait_until(lambda: _hits(running), "the cache answers the victim's calls", 30)
        yield World(running, ports, tenants, backend, ca, calls, live)


def _hits(running: Running) -> int:
    counts = (pool["cache"]["counts"] for pool in running.report()["pools"])
    return sum(each["hit"] for each in counts if each)


def _peak(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0
