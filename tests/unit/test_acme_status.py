"""The status of a ManagedCertificate in GKE's words."""

from __future__ import annotations

import dataclasses
import datetime as dt
import re

import pytest

from kiteway.acme.config import AcmeConfig
from kiteway.acme.problems import Kind
from kiteway.acme.records import Failure
from kiteway.acme.schedule import Known
from kiteway.acme.status import managed_report
from kiteway.acme.wanted_certificate import WantedCertificate
from kiteway.diagnostics import ObjectRef
from kiteway.model import Certificate, PrivateKey

NOW = dt.datetime(2026, 11, 23, 8, tzinfo=dt.UTC)
HOST, OTHER = "my-release.milvus.io", "other.milvus.io"
READY = AcmeConfig(accept_terms=True, contact="admin@milvus.io")
WANTED = WantedCertificate(ObjectRef("ManagedCertificate", "default", "guide"), (HOST,))
ISSUED = Certificate(
    name=WANTED.certificate,
    chain=b"",
    key=PrivateKey(b"key"),
    names=(HOST,),
    not_before=NOW - dt.timedelta(days=1),
    not_after=NOW + dt.timedelta(days=89),
    key_type="ECDSA",
    fingerprint="abc",
    temporary=False,
    source=None,
)


def failure(kind: Kind, *, domain: str | None = HOST, domains: tuple[str, ...] = (HOST,)) -> Failure:
    """Return a failed attempt, about one name or about none."""
    problems = {domain: (kind, "why.")} if domain else {}
    return Failure(domains, 1, kind, "why.", "do.", problems, NOW, NOW + dt.timedelta(hours=1))


@pytest.mark.parametrize(
    ("known", "status", "domain"),
    [
        (Known((HOST,)), "Provisioning", "Provisioning"),
        (Known((HOST,), failure=failure(Kind.NOT_VISIBLE)), "Provisioning", "FailedNotVisible"),
        (Known((HOST,), failure=failure(Kind.CAA_FORBIDDEN)), "ProvisioningFailed", "FailedCaaForbidden"),
        (Known((HOST,), failure=failure(Kind.CAA_CHECKING)), "ProvisioningFailed", "FailedCaaChecking"),
        (Known((HOST,), failure=failure(Kind.RATE_LIMITED, domain=None)), "ProvisioningFailed", "FailedRateLimited"),
        (Known((HOST,), failure=failure(Kind.UNAVAILABLE, domain=None)), "ProvisioningFailed", "Provisioning"),
        (Known((HOST,), failure=failure(Kind.REFUSED)), "ProvisioningFailedPermanently", "Provisioning"),
        (Known((HOST,), ISSUED, (HOST,)), "Active", "Active"),
        (Known((HOST,), ISSUED, (HOST,), failure=failure(Kind.UNAVAILABLE, domain=None)), "RenewalFailed", "Active"),
        (Known((HOST,), ISSUED, (HOST,), failure=failure(Kind.NOT_VISIBLE)), "RenewalFailed", "FailedNotVisible"),
        (Known((HOST,), ISSUED, (HOST,), failure=failure(Kind.REFUSED, domains=(OTHER,))), "Active", "Active"),
        (Known((HOST,), dataclasses.replace(ISSUED, not_after=NOW), (HOST,)), "Provisioning", "Provisioning"),
    ],
)
def test_the_words(known: Known, status: str, domain: str) -> None:
    """Stored records and the last failure as certificateStatus and domainStatus."""
    report = managed_report(WANTED, known, READY, NOW)

    assert (report.certificate_status, report.domain_status[0].status) == (status, domain)


def test_a_name_more_is_provisioning() -> None:
    """While a certificate for more names is under way, the names of the old one stay active."""
    wanted = dataclasses.replace(WANTED, domains=(HOST, OTHER))

    report = managed_report(wanted, Known((HOST, OTHER), ISSUED, (HOST,)), READY, NOW)

    assert report.certificate_status == "Provisioning"
    assert [(d.domain, d.status) for d in report.domain_status] == [(HOST, "Active"), (OTHER, "Provisioning")]


def test_the_terms_come_first() -> None:
    """Without the terms and a contact the message says that the CA is not contacted, and the fix names the options."""
    report = managed_report(WANTED, Known((HOST,)), AcmeConfig(accept_terms=True), NOW)

    assert report.message.startswith(
        "Kiteway contacts the CA https://acme-v02.api.letsencrypt.org/directory only after"
    )
    assert report.fix == "Read the CA's terms of service, then give --acme-contact EMAIL."
    assert report.next_attempt is None


def test_a_running_attempt_reports_its_wait() -> None:
    """During an attempt the report has the step for which it waits, beside the last failure."""
    report = managed_report(WANTED, Known((HOST,)), READY, NOW, "1 of 3 replicas")

    assert report.waiting_for == "1 of 3 replicas"
    assert report.certificate_status == "Provisioning"


def test_without_the_terms_a_fresh_certificate_is_active() -> None:
    """A stored certificate is served and Active, also if the terms are not accepted this time."""
    report = managed_report(WANTED, Known((HOST,), ISSUED, (HOST,)), AcmeConfig(), NOW)

    assert (report.certificate_status, report.message) == ("Active", "")


def test_a_certificate_without_an_ingress_is_not_issued() -> None:
    """The report of a ManagedCertificate without an Ingress says so, and how an Ingress names it."""
    report = managed_report(dataclasses.replace(WANTED, attached=False), Known((HOST,)), READY, NOW)

    assert report.certificate_status == "Provisioning"
    assert report.message == "no Ingress names it, so Kiteway does not order it."
    assert report.fix.endswith("networking.gke.io/managed-certificates: guide")


def test_the_certificates_name() -> None:
    """The name has GKE's form, is constant for an object, and differs between objects."""
    other = dataclasses.replace(WANTED, ref=ObjectRef("ManagedCertificate", "default", "other"))

    assert re.fullmatch(r"mcrt-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", WANTED.google_name())
    assert WANTED.google_name() == dataclasses.replace(WANTED, domains=(OTHER,)).google_name()
    assert WANTED.google_name() != other.google_name()


@pytest.mark.parametrize(
    ("directory", "key"),
    [
        ("https://acme-v02.api.letsencrypt.org/directory", "acme-v02.api.letsencrypt.org-directory"),
        ("https://localhost:14000/dir", "localhost-14000-dir"),
        ("https://../../etc", "etc"),
    ],
)
def test_the_issuers_key(directory: str, key: str) -> None:
    """Each CA has a separate folder, and none is outside the storage."""
    assert AcmeConfig(directory=directory).issuer_key == key
