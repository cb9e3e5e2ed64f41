"""
Issues one certificate step by step, as a program that can be stopped at any step.

``python -m tests.support.acme_runner FOLDER DIRECTORY CA DNS MANAGEMENT PAUSE LATER``: every step is printed before it is done. At
step number PAUSE (0: at none) it waits for a line on its standard input, so that a test may kill it there. The challenges are
answered by pebble-challtestsrv at MANAGEMENT. The clock of its leases is LATER seconds ahead.
"""

from __future__ import annotations

import datetime as dt
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import httpx2

from kiteway.acme.config import AcmeConfig
from kiteway.acme.context import IssuanceContext
from kiteway.acme.look import look
from kiteway.acme.storage import FileStorage, LockedError
from kiteway.acme.wanted_certificate import WantedCertificate
from kiteway.acme.work import attempt
from kiteway.diagnostics import ObjectRef
from kiteway.envoy.settings import EnvoySettings
from kiteway.model import Challenge, HTTPChallenge

HOST = "my-release.milvus.io"
LEASE_SECONDS = 120.0
"""Longer than a busy machine may delay the thread that renews it: who loses the lease ends without a certificate."""


def say(text: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


class Steps:
    """Counts the steps, and waits at one of them."""

    def __init__(self, pause: int) -> None:
        self._pause = pause
        self._count = 0

    def reach(self, name: str) -> None:
        """Begin a step."""
        self._count += 1
        say(f"step {self._count} {name}")
        if self._count == self._pause:
            say("paused")
            sys.stdin.readline()


class Watched(FileStorage):
    """A storage whose every change is a step."""

    def __init__(self, root: Path, steps: Steps, later: float) -> None:
        super().__init__(root, lease_seconds=LEASE_SECONDS, clock=lambda: time.time() + later)
        self._steps = steps

    def store(self, key: str, value: bytes) -> None:
        """Store, as a step."""
        self._steps.reach(f"store {key.rpartition('/')[2]}")
        super().store(key, value)

    def delete(self, key: str) -> None:
        """Delete, as a step."""
        self._steps.reach(f"delete {key.rpartition('/')[2]}")
        super().delete(key)


class Presenter:
    """Gives the challenges to pebble-challtestsrv, as a step."""

    def __init__(self, url: str, steps: Steps) -> None:
        self._url = url
        self._steps = steps
        self._shown: list[str] = []

    def present(self, context: IssuanceContext, folder: str, challenges: Sequence[Challenge]) -> None:
        """Show."""
        self._steps.reach("present")
        for challenge in challenges:
            assert isinstance(challenge, HTTPChallenge)
            self._shown.append(challenge.token)
            self._post("add-http01", {"token": challenge.token, "content": challenge.key_authorization})

    def clean_up(self, context: IssuanceContext, folder: str) -> None:
        """Take away."""
        self._steps.reach("clean up")
        for token in self._shown:
            self._post("del-http01", {"token": token})

    def _post(self, what: str, value: dict[str, str]) -> None:
        httpx2.post(f"{self._url}/{what}", json=value, trust_env=False, verify=False).raise_for_status()


def main() -> None:
    """Run until there is a certificate."""
    folder, directory, ca, dns, management, pause, later = sys.argv[1:]
    steps = Steps(int(pause))
    context = IssuanceContext(
        config=AcmeConfig(directory=directory, accept_terms=True, contact="admin@milvus.io", ca_file=ca, resolver=dns),
        storage=Watched(Path(folder), steps, float(later)),
        presenter=Presenter(management, steps),
        bind="127.0.0.1",
        stop=threading.Event(),
        now=lambda: dt.datetime.now(dt.UTC),
    )
    wanted = WantedCertificate(ObjectRef("ManagedCertificate", "default", "guide"), (HOST,))
    while (known := look(context, wanted)).issued is None:
        if known.failure is not None:
            raise SystemExit(f"failed: {known.failure.message}")
        try:
            attempt(context, wanted, EnvoySettings(), {})
        except LockedError:
            say("locked")
            context.sleep(0.1)
    say(f"issued {known.issued.fingerprint}")


if __name__ == "__main__":
    main()
