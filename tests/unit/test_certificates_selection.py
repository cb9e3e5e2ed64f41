"""Which certificate is served for which name, and that a bad Secret does not affect a good one."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

import pytest

from kiteway.resources import load_documents
from kiteway.translate import Options, Translator
from kiteway.translate.translator import Result
from tests.support.certificates import NOW, ecdsa, issue, pem, rsa_key
from tests.support.ingresses import ingress, secret, service, text

A, B = "a.example.com", "b.example.com"
RSA = rsa_key()
EXPIRED = {"start": dt.timedelta(days=-20), "end": dt.timedelta(days=-1)}


def translated(*documents: Mapping[str, Any], translator: Translator | None = None) -> Result:
    """Translate manifests."""
    loaded = load_documents(text(*documents), "test.yaml")
    return (translator or Translator()).translate(loaded.objects, Options(), NOW, loaded.refused)


def answers(result: Result) -> dict[str, tuple[str, ...]]:
    """Return by name, ``""`` for none, the Secrets that answer it."""
    return {
        ",".join(entry.names): tuple(name.partition("/")[2] for name in entry.certificates)
        for entry in result.model.server_names
    }


def reasons(result: Result) -> set[str]:
    """Return the reasons of all diagnostics."""
    return {diagnostic.reason for diagnostic in result.diagnostics}


def test_each_host_is_answered_by_its_own_certificate() -> None:
    """Of several Secrets each host gets the one with its name; without SNI the first is served."""
    result = translated(
        service(), secret("one", issue(A)), secret("two", issue(B)), ingress("i", [A, B], ["one", "two"])
    )

    assert answers(result) == {"": ("one",), A: ("one",), B: ("two",)}
    assert not {reason for reason in reasons(result) if "Cert" in reason or "Cover" in reason}


def test_an_exact_name_goes_before_a_wildcard() -> None:
    """A certificate with the host's name is served for it, also if a wildcard comes first in the list."""
    result = translated(
        service(),
        secret("wild", issue("*.example.com")),
        secret("exact", issue(A)),
        ingress("i", [A, B], ["wild", "exact"]),
    )

    assert answers(result)[A] == ("exact",)
    assert answers(result)[B] == ("wild",)


def test_rsa_and_ecdsa_answer_side_by_side() -> None:
    """One certificate of each key type is served for a host; without SNI, too, if they have the same names."""
    result = translated(
        service(),
        secret("ec", issue(A)),
        secret("rsa", issue(A, key=RSA)),
        secret("rsa-b", issue(B, key=RSA)),
        ingress("i", [A, B], ["ec", "rsa", "rsa-b"]),
    )

    assert answers(result) == {"": ("ec", "rsa"), A: ("ec", "rsa"), B: ("rsa-b",)}


def test_a_valid_certificate_goes_before_an_expired_one() -> None:
    """An expired certificate is served only if no valid one exists, and is reported in both cases."""
    both = translated(
        service(),
        secret("old", issue(A, key=RSA, **EXPIRED)),  # type: ignore[arg-type]
        secret("wild", issue("*.example.com")),
        ingress("i", [A], ["old", "wild"]),
    )
    alone = translated(service(), secret("old", issue(A, **EXPIRED)), ingress("i", [A], ["old"]))  # type: ignore[arg-type]

    assert (answers(both)[""], answers(both)[A]) == (("wild",), ("wild",))
    assert answers(alone)[A] == ("old",)
    assert "CertificateExpired" in reasons(alone)


def test_names_below_a_wildcard_host_are_chosen_by_certificate() -> None:
    """The Ingress of a wildcard host serves each name with the certificate that contains it."""
    result = translated(
        service(),
        secret("wild", issue("*.example.com")),
        secret("exact", issue(A)),
        ingress("i", ["*.example.com"], ["wild", "exact"]),
    )

    assert answers(result)["*.example.com"] == ("wild",)
    assert answers(result)[A] == ("exact",)


def test_the_ingress_of_all_other_hosts_answers_for_its_certificates_names() -> None:
    """For an Ingress without hosts the certificates' names alone decide, as on GKE."""
    result = translated(
        service(), secret("one", issue(A)), secret("two", issue(B)), ingress("i", [None], ["two", "one"])
    )

    assert answers(result) == {"": ("two",), A: ("one",), B: ("two",)}


def test_no_namespace_answers_for_anothers_host() -> None:
    """A certificate that contains a host of another namespace is never served for that host."""
    result = translated(
        service("victim"),
        service("attacker"),
        secret("mine", issue(A), "victim"),
        secret("theirs", issue(A, "*.example.com", "x.example.org"), "attacker"),
        ingress("i", [A], ["mine"], "victim"),
        ingress("j", ["x.example.org", A], ["theirs"], "attacker", created="2026-02-01T00:00:00Z"),
    )

    assert answers(result)[A] == ("mine",)
    assert "theirs" not in {name for host, names in answers(result).items() if "example.com" in host for name in names}


def test_a_host_that_no_certificate_covers_is_reported() -> None:
    """
    The first certificate is served for such a host, and the diagnostic says that clients will refuse it and
    what to do.
    """
    result = translated(service(), secret("one", issue(A)), ingress("i", [B], ["one"]))

    found = next(d for d in result.diagnostics if d.reason == "HostNotCovered")
    assert answers(result)[B] == ("one",)
    assert B in found.message
    assert "subjectAltName" in found.fix


BAD: dict[str, tuple[bytes, bytes]] = {
    "mismatch": (issue(B).crt, pem(ecdsa())),
    "unreadable": (b"certificate", b"key"),
    "half": (issue(B).crt[:100], issue(B).pem),
    "must-staple": ((bad := issue(B, must_staple=True)).crt, bad.pem),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_secret_of_another_ingress_takes_nothing_down(case: str) -> None:
    """The Ingress with a good Secret is served, whatever another's Secret contains."""
    result = translated(
        service(),
        secret("good", issue(A)),
        secret("bad", BAD[case]),
        ingress("i", [A], ["good"]),
        ingress("j", [B], ["bad"], created="2026-02-01T00:00:00Z"),
    )

    assert answers(result)[A] == ("good",)
    assert {host.domain: host.https for host in result.model.hosts} == {A: True, B: False}


@pytest.mark.parametrize("case", BAD)
@pytest.mark.parametrize("order", [["good", "bad"], ["bad", "good"]])
def test_a_bad_secret_beside_a_good_one_takes_nothing_down(case: str, order: list[str]) -> None:
    """GKE refuses the whole Ingress; here the good Secret's host is served, also at the first start."""
    result = translated(service(), secret("good", issue(A)), secret("bad", BAD[case]), ingress("i", [A, B], order))

    assert answers(result)[A] == ("good",)
    assert any(d.severity.name == "ERROR" and d.object and d.object.name == "bad" for d in result.diagnostics)


def test_a_secret_that_turns_bad_is_served_in_its_last_good_form() -> None:
    """If a replacement cannot be served, the old certificate stays; a good Secret beside it is still renewed."""
    translator = Translator()
    documents = [service(), ingress("i", [A, B], ["one", "two"])]
    before = translated(*documents, secret("one", issue(A)), secret("two", issue(B)), translator=translator)
    renewed = issue(A)

    after = translated(*documents, secret("one", renewed), secret("two", BAD["mismatch"]), translator=translator)

    old = {c.name: c.fingerprint for c in before.model.certificates}
    new = {c.name: (c.chain, c.fingerprint) for c in after.model.certificates}
    assert new["default/two"][1] == old["default/two"]
    assert new["default/one"][0] == renewed.crt
    assert "CertificateKeyMismatch" in reasons(after)


def test_the_time_is_judged_when_it_comes() -> None:
    """Without any change of the manifests a certificate is reported 21 days before its expiry and at its expiry."""
    translator = Translator()
    loaded = load_documents(
        text(service(), secret("one", issue(A, end=dt.timedelta(days=60))), ingress("i", [A], ["one"])), "test.yaml"
    )

    def at(days: float) -> set[str]:
        result = translator.translate(loaded.objects, Options(), NOW + dt.timedelta(days=days))
        return {d.reason for d in result.diagnostics if d.reason.startswith("Certificate")}

    assert at(0) == set()
    assert at(38.9) == set()
    assert at(39) == {"CertificateExpiresSoon"}
    assert at(60) == {"CertificateExpired"}
    assert at(-1) == {"CertificateNotYetValid"}
