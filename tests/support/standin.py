"""The stand-in for a proxy of Milvus 2.6 and 3.x: ``tests/standin``."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
from collections.abc import Iterator

import httpx2
import pytest

from kiteway.model import Endpoint
from tools.standin import standin


class StandIn:
    """
    One running stand-in.

    Attributes:
        port: of gRPC and REST.
        management: Milvus's 9091.
    """

    def __init__(self, *options: str) -> None:
        """Start it with command line options of ``tests/standin/main.go``; skip the test where it is not built."""
        binary = standin()
        if binary is None:
            pytest.skip("the stand-in is not built: python -m tools.standin (it needs Go 1.25 or later)")
        self.process = subprocess.Popen([binary, *options], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
        assert self.process.stdout is not None
        ports = json.loads(self.process.stdout.readline())
        self.port, self.management = ports["port"], ports["management"]

    @property
    def endpoint(self) -> Endpoint:
        """It as an endpoint, with its health port."""
        return Endpoint("127.0.0.1", self.port, health_port=self.management)

    def seen(self) -> dict[str, int]:
        """Return its counters."""
        answer = httpx2.get(f"http://127.0.0.1:{self.management}/standin", trust_env=False, verify=False)
        counters: dict[str, int] = answer.json()
        return counters

    def terminate(self) -> None:
        """Begin its shutdown (SIGTERM), without waiting for the end."""
        self.process.send_signal(signal.SIGTERM)

    def close(self) -> None:
        """End it at once."""
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


@contextlib.contextmanager
def stand_in(*options: str) -> Iterator[StandIn]:
    """Run a stand-in until the block ends."""
    running = StandIn(*options)
    try:
        yield running
    finally:
        running.close()
