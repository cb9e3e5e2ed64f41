"""
A large Kiteway with its web page: 1,000 hosts, and 10,000 endpoints where Envoy can hold so many, all of them healthy
addresses of this machine.

Usage: ``python tools/in_netns.py .venv/bin/python -m tests.browser.large``, after ``make test-dashboard`` has got a browser, prints
how long views take and how much memory the processes have.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx2

from bench.cpu import cpu_seconds
from bench.processes import fitting_endpoints
from bench.processes import free_port as any_port
from tests.browser.conftest import Tab, launched
from tests.support.healthy import healthy
from tests.support.kiteway import Running, up, wait_until
from tests.support.manifests import backend_config, endpoint_slice, ingress, path, rule, service

HOSTS = 1000
"""Hosts, each with its own Service."""
EACH = fitting_endpoints(HOSTS, 10)
"""Endpoints of each."""
_OF_A_NAMESPACE = 50
_HEALTH_PORT = 9091
_START_SECONDS = 240.0
_VIEWS = ("overview", "endpoints", "hosts", "problems", "events")
_ROUNDS = 7


@dataclass(frozen=True)
class Large:
    """Kiteway, and the address of its page."""

    running: Running
    url: str

    def memory(self, process: str) -> int:
        """Return the resident MiB of a child process."""
        status = Path(f"/proc/{self.running.child(process)[0]}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) // 1024


@contextlib.contextmanager
def large(free_port: Callable[[], int]) -> Iterator[Large]:
    """Start it, and wait until the page has all of it. Each endpoint is checked once in five minutes."""
    folder = Path(tempfile.mkdtemp(prefix="kw-"))
    (folder / "manifests").mkdir()
    (folder / "manifests" / "first.yaml").write_text(_manifests("first", 0, 1))
    page = free_port()
    arguments = ["-f", str(folder / "manifests"), "--drain", "0", "--dashboard", f"127.0.0.1:{page}"]
    arguments += ["--https-port", str(free_port()), "--http-port", str(free_port())]
    try:
        with healthy(_HEALTH_PORT), up(arguments, folder / "data") as running:
            # A start has a minute, which all of this takes longer than on a busy machine.
            for first in range(1, HOSTS, _OF_A_NAMESPACE):
                text = _manifests(f"n{first}", first, min(HOSTS, first + _OF_A_NAMESPACE))
                (folder / "manifests" / f"n{first}.yaml").write_text(text)
            found = Large(running, f"http://127.0.0.1:{page}")
            wait_until(lambda: _complete(found), "the page has all endpoints", _START_SECONDS)
            yield found
    finally:
        shutil.rmtree(folder)


def _manifests(namespace: str, first: int, end: int) -> str:
    check = {"type": "HTTP", "checkIntervalSec": 300, "timeoutSec": 1, "port": _HEALTH_PORT, "requestPath": "/healthz"}
    objects = [backend_config("rare", namespace, healthCheck=check)]
    for number in range(first, end):
        name = f"milvus-{number}"
        addresses = [f"127.{1 + number // 250}.{number % 250}.{place + 1}" for place in range(EACH)]
        host = f"host-{number}.example.com"
        objects += [
            ingress(rule(host, path(service=name)), name=name, namespace=namespace),
            service(name, namespace, backend_config="rare"),
            endpoint_slice(addresses, 19530, name, namespace),
        ]
    # JSON is YAML, and a fraction of the time to write.
    return "\n---\n".join(map(json.dumps, objects))


def _complete(place: Large) -> bool:
    try:
        overview = httpx2.get(f"{place.url}/api/overview", timeout=30, trust_env=False).json()
    except httpx2.TransportError:
        return False
    return bool(overview["hosts"] == HOSTS and sum(overview["endpoints"].values()) == HOSTS * EACH)


def seconds(place: Large, tab: Tab, view: str) -> tuple[float, float]:
    """Return how long a view takes, from its address to its last table, and the CPU seconds of the page's process for it."""
    tab.page.goto("about:blank")
    pid = place.running.child("dashboard")[0]
    assert pid is not None
    began, used = time.monotonic(), cpu_seconds(pid)
    tab.show(view)
    return time.monotonic() - began, cpu_seconds(pid) - used


def main() -> None:
    """Print the figures."""
    with large(any_port) as place, launched() as browser:
        context = browser.new_context(viewport={"width": 1280, "height": 900})
        tab = Tab(context.new_page(), place.url)
        for view in _VIEWS:
            found = [seconds(place, tab, view) for _ in range(_ROUNDS)]
            took, used = (sorted(values) for values in zip(*found, strict=True))
            middle = len(found) // 2
            sys.stdout.write(
                f"{view}: {took[0]:.2f} to {took[-1]:.2f} s, median {took[middle]:.2f} s; "
                f"CPU of the page's process: median {used[middle]:.2f} s\n"
            )
        for process in ("dashboard", "controlplane", "envoy"):
            sys.stdout.write(f"{process}: {place.memory(process)} MiB\n")
        context.close()


if __name__ == "__main__":
    main()
