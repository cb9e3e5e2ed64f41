"""An issuance that is killed with -9 at any step, and two processes with one storage."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kiteway.acme.config import AcmeConfig
from kiteway.acme.records import Issued, Order, read
from kiteway.acme.storage import FileStorage
from kiteway.certificates.x509 import inspect
from tests.support.acme_runner import LEASE_SECONDS
from tests.support.pebble import HOST, Pebble

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

REPOSITORY = Path(__file__).resolve().parents[2]

STEPS = (
    "store account",
    "store account",
    "store order",
    "store order",
    "present",
    "clean up",
    "store certificate",
    "delete order",
    "delete failure",
    "delete demand",
)
"""What an issuance does that can be interrupted, in order; the first account is its key alone, so is the first order."""


@pytest.fixture(scope="module")
def pebble(tmp_path_factory: pytest.TempPathFactory, free_port: Callable[[], int]) -> Iterator[Pebble]:
    """Return a CA that refuses a fifth of the nonces and takes its time."""
    folder = tmp_path_factory.mktemp("ca")
    with Pebble(folder, free_port, environment={"PEBBLE_AUTHZREUSE": "0"}, answers=True) as ca:
        yield ca


@contextlib.contextmanager
def runner(folder: Path, pebble: Pebble, pause: int = 0, later: float = 0) -> Iterator[subprocess.Popen[str]]:
    """
    Run the issuance in a separate process; it does not outlive the context.

    Args:
        folder: the storage.
        pebble: the CA.
        pause: the step at which it waits for a line; 0: at none.
        later: seconds by which the clock of its leases is ahead.
    """
    command = [
        sys.executable,
        "-m",
        "tests.support.acme_runner",
        folder,
        pebble.directory,
        pebble.ca_file,
        f"127.0.0.1:{pebble.dns}",
    ]
    command += [f"http://127.0.0.1:{pebble.dns_management}", pause, later]
    with subprocess.Popen(
        [str(part) for part in command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=REPOSITORY,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def until_line(process: subprocess.Popen[str], wanted: str) -> list[str]:
    """Read its lines up to one that begins with ``wanted``."""
    assert process.stdout is not None
    lines: list[str] = []
    for line in process.stdout:
        lines.append(line.strip())
        if lines[-1].startswith(wanted):
            return lines
    raise AssertionError(f"it ended without {wanted!r}: {lines}")


def steps_of(lines: list[str]) -> tuple[str, ...]:
    """Return the names of the steps among its lines."""
    return tuple(line.split(maxsplit=2)[2] for line in lines if line.startswith("step "))


def check_stored(folder: Path, pebble: Pebble) -> None:
    """See that a whole certificate for the host, with its key, is stored, and no order that could be gone on with."""
    storage = FileStorage(folder)
    issuer = AcmeConfig(directory=pebble.directory).issuer_key
    where = f"acme/{issuer}/certificates/default/guide"
    issued = read(storage, f"{where}/certificate", Issued)
    assert issued is not None
    assert inspect(issued.chain.encode(), issued.key.reveal()).names == (HOST,)
    left = read(storage, f"{where}/order", Order)
    assert left is None or left.key == issued.key


def test_the_steps_are_known(tmp_path: Path, pebble: Pebble) -> None:
    """An undisturbed issuance has exactly the steps at which the next test kills it."""
    with runner(tmp_path, pebble) as process:
        assert steps_of(until_line(process, "issued")) == STEPS
    check_stored(tmp_path, pebble)


@pytest.mark.parametrize("number", range(1, len(STEPS) + 1), ids=lambda n: f"{n}-{STEPS[n - 1].replace(' ', '-')}")
def test_killed_at_a_step_the_next_run_finishes(tmp_path: Path, pebble: Pebble, number: int) -> None:
    """After a kill -9 before any step, the next process finishes: one account, one order, one whole certificate."""
    orders = pebble.orders()
    accounts = pebble.accounts()
    with runner(tmp_path, pebble, pause=number) as process:
        before = until_line(process, "paused")
        process.kill()
        process.wait()
    # The lease of the dead process has ended by the clock of the next one, which so need not wait for it.
    with runner(tmp_path, pebble, later=LEASE_SECONDS) as process:
        after = until_line(process, "issued")

    check_stored(tmp_path, pebble)
    # The URL of an order can be lost between the CA's answer and the disk; the CA lets such an order expire.
    lost = 1 if number == STEPS.index("store order") + 2 else 0
    assert pebble.orders() - orders == 1 + lost
    assert pebble.accounts() - accounts == 1
    done = steps_of(before)[:-1]
    repeated = set(steps_of(after)) & set(done)
    assert repeated <= {"present", "clean up", "store account", "store order"}


def test_two_processes_make_one_order(tmp_path: Path, pebble: Pebble) -> None:
    """While one process issues, another waits, uses the stored certificate, and sends the CA no request."""
    orders = pebble.orders()
    with runner(tmp_path, pebble, pause=STEPS.index("present") + 1) as first:
        until_line(first, "paused")
        with runner(tmp_path, pebble) as second:
            until_line(second, "locked")
            assert first.stdin is not None
            first.stdin.write("\n")
            first.stdin.flush()
            one, two = until_line(first, "issued"), until_line(second, "issued")

    assert one[-1] == two[-1]
    assert steps_of(two) == ()
    assert pebble.orders() - orders == 1
    check_stored(tmp_path, pebble)


def test_two_processes_at_the_same_moment(tmp_path: Path, pebble: Pebble) -> None:
    """If two processes start together, one of them issues; there is one order and one certificate."""
    orders = pebble.orders()
    with runner(tmp_path, pebble) as first, runner(tmp_path, pebble) as second:
        one, two = until_line(first, "issued"), until_line(second, "issued")

    assert one[-1] == two[-1]
    assert pebble.orders() - orders == 1
