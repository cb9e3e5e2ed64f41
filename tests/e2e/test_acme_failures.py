"""Failures of an issuance: the status, the reason, no needless requests to the CA, and the recovery without help."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.acme_front import front
from tests.support.kiteway import wait_until
from tests.support.pebble import HOST, Managed, Pebble, fingerprint, managed_up, served

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]

FreePort = Callable[[], int]
OTHER = "127.0.0.9"


@pytest.fixture
def pebble(tmp_path: Path, free_port: FreePort) -> Iterator[Pebble]:
    """Return a CA that refuses a fifth of the nonces and takes its time."""
    with Pebble(tmp_path / "ca", free_port) as ca:
        yield ca


def quiet(running: Managed, pebble: Pebble) -> None:
    """Wait for a point of rest, and see that nothing is asked of the CA before the next attempt is due."""
    before = len(pebble.requests())
    deadline = time.monotonic() + 3
    wait_until(lambda: time.monotonic() > deadline, "some seconds pass")
    assert len(pebble.requests()) == before


@dataclass(frozen=True)
class Case:
    """
    A mistake in the DNS.

    Attributes:
        what: the record, as the DNS server's management names it.
        wrong: the mistake.
        undo: how it is corrected, and with what.
        status: the domain's status meanwhile.
        sentence: what is said.
    """

    what: str
    wrong: dict[str, Any]
    undo: tuple[str, dict[str, Any]]
    status: str
    sentence: str


HERE = {"host": f"{HOST}."}
CASES = {
    "a": Case(
        "add-a",
        HERE | {"addresses": [OTHER]},
        ("clear-a", HERE),
        "FailedNotVisible",
        f"{HOST} resolves to A {OTHER}, where Kiteway does not listen; its A record should be 127.0.0.1",
    ),
    "aaaa": Case(
        "add-aaaa",
        HERE | {"addresses": ["::1"]},
        ("clear-aaaa", HERE),
        "FailedNotVisible",
        "remove the AAAA record, which CAs try first",
    ),
    "none": Case(
        "set-default-ipv4",
        {"ip": ""},
        ("set-default-ipv4", {"ip": "127.0.0.1"}),
        "FailedNotVisible",
        f"{HOST} has neither an A nor an AAAA record; it should resolve to 127.0.0.1",
    ),
    "caa": Case(
        "add-caa",
        HERE | {"policies": [{"tag": "issue", "value": ";"}]},
        ("clear-caa", HERE),
        "FailedCaaForbidden",
        f"the CAA records of {HOST} allow no CA",
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_wrong_dns(tmp_path: Path, pebble: Pebble, case: Case) -> None:
    """
    A certain failure in DNS is reported without an order at the CA; after the correction the issuance goes on
    by itself.
    """
    assert pebble.set_dns(case.what, case.wrong)
    with managed_up(tmp_path, pebble) as running:
        failed = running.until_domain(case.status)
        assert pebble.orders() == 0
        assert pebble.set_dns(*case.undo)
        running.until_certificate("Active")

    assert case.sentence in failed["message"]
    assert failed["domainStatus"][0]["message"] == failed["message"]
    assert failed["nextAttempt"]


def test_the_ca_cannot_see_it(tmp_path: Path, pebble: Pebble, free_port: FreePort) -> None:
    """
    If only the CA sees a wrong address, its message is reported, after one attempt: a failed validation
    counts against limits.
    """
    assert pebble.set_dns("add-a", {"host": f"{HOST}.", "addresses": [OTHER]})
    # Our own look is at a DNS server that does not answer.
    with managed_up(tmp_path, pebble, "--acme-resolver", f"127.0.0.1:{free_port()}") as running:
        failed = running.until_domain("FailedNotVisible")
        assert pebble.orders() == 1
        quiet(running, pebble)

    assert failed["certificateStatus"] == "Provisioning"
    assert "the CA says:" in failed["message"]
    assert OTHER in failed["message"]
    assert "ports 80 and 443" in failed["fix"]


def test_the_ca_refuses_the_name(tmp_path: Path, free_port: FreePort) -> None:
    """A name that the CA never certifies is reported as refused and not tried again until the manifest changes."""
    settings = {"domainBlocklist": [HOST]}
    with (
        Pebble(tmp_path / "ca", free_port, settings=settings) as pebble,
        managed_up(tmp_path, pebble) as running,
    ):
        refused = running.until_certificate("ProvisioningFailedPermanently")
        quiet(running, pebble)
        manifest = running.manifests / "managed-crt.yaml"
        manifest.write_text(manifest.read_text().replace(f"- {HOST}", "- other.milvus.io"))
        active = running.until_certificate("Active")

    assert "the CA says:" in refused["message"]
    assert active["domainStatus"][0]["domain"] == "other.milvus.io"


def test_the_ca_is_down(tmp_path: Path, pebble: Pebble) -> None:
    """A CA that is down is reported as down; when it is back, the issuance goes on by itself."""
    pebble.stop()
    with managed_up(tmp_path, pebble) as running:
        failed = running.until_certificate("ProvisioningFailed")
        pebble.start()
        running.until_certificate("Active")

    assert "cannot be reached" in failed["message"]
    assert failed["domainStatus"][0]["status"] == "Provisioning"


def test_rate_limits(tmp_path: Path, pebble: Pebble, free_port: FreePort) -> None:
    """After a 429 no request is sent before its Retry-After has passed; then the issuance goes on by itself."""
    with front(pebble.folder, free_port(), pebble.port) as limit:
        limit.limited, limit.retry_after = "/order-plz", 4
        options = ("--acme-directory", f"https://localhost:{limit.port}/dir")
        with managed_up(tmp_path, pebble, *options) as running:
            failed = running.until_domain("FailedRateLimited")
            refused = limit.refused
            quiet(running, pebble)
            assert limit.refused == refused == 1
            limit.limited = ""
            running.until_certificate("Active")

    assert "too many certificates already issued" in failed["message"]
    assert failed["certificateStatus"] == "ProvisioningFailed"


def test_the_old_certificate_is_served_through_a_failed_renewal(tmp_path: Path, free_port: FreePort) -> None:
    """While a renewal fails the old certificate is served; a CA that lost its data then renews it."""
    settings = {"certificateValidityPeriod": 60}
    with (
        Pebble(tmp_path / "ca", free_port, settings=settings) as pebble,
        managed_up(tmp_path, pebble) as running,
    ):
        active = running.until_certificate("Active")
        pebble.stop()
        failed = running.until_certificate("RenewalFailed")
        old = served(pebble.tls_port)
        pebble.start()
        renewed = running.until_certificate("Active")
        new = served(pebble.tls_port, pebble.roots())

    assert failed["fingerprint"] == active["fingerprint"] == fingerprint(old)
    assert failed["domainStatus"][0]["status"] == "Active"
    assert renewed["fingerprint"] == fingerprint(new) != active["fingerprint"]
