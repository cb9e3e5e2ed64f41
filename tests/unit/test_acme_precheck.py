"""The check of names in DNS before an order: only a certain failure stops an attempt."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from kiteway.acme.precheck import Lookup, check, check_held, forbidden, split_address, visibility
from kiteway.acme.problems import AcmeError, Kind

HOST = "my-release.milvus.io"
UNKNOWN = Lookup(known=False)
NONE = Lookup()


class Records:
    """A resolver with fixed records; names it does not have exist without any."""

    def __init__(self, records: Mapping[tuple[str, str], Lookup]) -> None:
        self._records = records
        self.asked: list[tuple[str, str]] = []

    def lookup(self, name: str, kind: str) -> Lookup:
        """Return the records."""
        self.asked.append((name, kind))
        return self._records.get((name, kind), NONE)


def at(*addresses: str) -> Lookup:
    """Return the answer that holds these addresses."""
    return Lookup(addresses)


@pytest.mark.parametrize(
    ("a", "aaaa", "bind"),
    [
        (at("127.0.0.1"), NONE, "127.0.0.1"),
        (at("34.111.144.65"), NONE, "0.0.0.0"),
        (at("34.111.144.65"), NONE, "10.0.0.4"),  # translated on its way
        (at("10.0.0.4"), NONE, "34.111.144.65"),  # a resolver inside the network
        (UNKNOWN, UNKNOWN, "34.111.144.65"),
        (NONE, UNKNOWN, "34.111.144.65"),
        (at("34.111.144.65"), UNKNOWN, "34.111.144.65"),
        (NONE, at("2001:4860:4860::8888"), "2001:4860:4860::8888"),
    ],
)
def test_names_that_may_lead_here_pass(a: Lookup, aaaa: Lookup, bind: str) -> None:
    """A name that resolves to this machine, or may do so by NAT or another resolver, is left to the CA."""
    assert visibility(HOST, a, aaaa, bind) == ""


@pytest.mark.parametrize(
    ("a", "aaaa", "bind", "sentence"),
    [
        (
            NONE,
            NONE,
            "34.111.144.65",
            f"{HOST} has neither an A nor an AAAA record; it should resolve to 34.111.144.65.",
        ),
        (NONE, NONE, "0.0.0.0", "it should resolve to the public address of this machine."),
        (
            at("8.8.8.8"),
            NONE,
            "34.111.144.65",
            f"{HOST} resolves to A 8.8.8.8, where Kiteway does not listen; its A record should be 34.111.144.65.",
        ),
        (
            at("34.111.144.65"),
            at("2001:4860:4860::8888"),
            "34.111.144.65",
            "its A record should be 34.111.144.65; remove the AAAA record, which CAs try first.",
        ),
        (at("8.8.8.8", "34.111.144.65"), NONE, "34.111.144.65", "resolves to A 8.8.8.8,"),
        (NONE, at("2001:4860:4860::8888"), "2001:4860:4860::8844", "its AAAA record should be 2001:4860:4860::8844"),
    ],
)
def test_names_that_lead_elsewhere_are_reported(a: Lookup, aaaa: Lookup, bind: str, sentence: str) -> None:
    """The message has the addresses to which the name resolves and to which it should, A and AAAA."""
    assert sentence in visibility(HOST, a, aaaa, bind)


def test_the_address_of_a_load_balancer_in_front_is_reported() -> None:
    """Behind a cluster's Service the name should resolve to the Service's addresses, not to the Pod's."""
    text = visibility(HOST, NONE, NONE, "0.0.0.0", ("203.0.113.7", "2001:db8::7"))

    assert text.endswith("it should resolve to 203.0.113.7 or 2001:db8::7.")


@pytest.mark.parametrize(
    ("records", "identities", "sentence"),
    [
        ((), ("letsencrypt.org",), ""),
        (('0 issue "letsencrypt.org"',), ("letsencrypt.org",), ""),
        (('0 issue "LetsEncrypt.org; validationmethods=http-01"',), ("letsencrypt.org",), ""),
        (('0 issue "pki.goog"', '0 issue "letsencrypt.org"'), ("letsencrypt.org",), ""),
        (('0 issuewild "pki.goog"', '0 iodef "mailto:a@milvus.io"'), ("letsencrypt.org",), ""),
        (('0 issue "pki.goog"',), (), ""),  # the CA does not say who it is
        (('0 issue "pki.goog"',), ("letsencrypt.org",), "allow only pki.goog, not letsencrypt.org."),
        (('0 issue ";"',), (), "allow no CA."),
        (('0 issue ";"',), ("letsencrypt.org",), "allow no CA, not letsencrypt.org."),
    ],
)
def test_caa(records: tuple[str, ...], identities: tuple[str, ...], sentence: str) -> None:
    """
    RFC 8659: one matching issue property permits the CA, no property permits every CA, a lone semicolon
    permits none.
    """
    found = forbidden(HOST, Lookup(records), identities)

    assert sentence in found
    assert bool(found) is bool(sentence)


def test_caa_is_looked_for_up_the_tree() -> None:
    """Only the records of the nearest parent that has any count."""
    resolver = Records(
        {
            (HOST, "A"): at("127.0.0.1"),
            ("milvus.io", "CAA"): Lookup(('0 issue "pki.goog"',)),
            ("io", "CAA"): Lookup(('0 issue ";"',)),
        }
    )

    with pytest.raises(AcmeError, match=r"allow only pki\.goog") as caught:
        check(resolver, [HOST], "127.0.0.1", ["letsencrypt.org"])

    assert caught.value.kind is Kind.CAA_FORBIDDEN
    assert ("io", "CAA") not in resolver.asked


def test_a_resolver_that_does_not_answer_stops_nothing() -> None:
    """If the resolver does not answer, the order goes on."""
    unknown = {(name, kind): UNKNOWN for name in (HOST, "milvus.io", "io") for kind in ("A", "AAAA", "CAA")}

    check(Records(unknown), [HOST], "34.111.144.65", ["letsencrypt.org"])


def test_every_name_is_looked_at() -> None:
    """All wrong names are reported at once, each with its own reason."""
    resolver = Records({("a.milvus.io", "A"): at("127.0.0.1"), ("b.milvus.io", "A"): at("127.0.0.9")})

    with pytest.raises(AcmeError) as caught:
        check(resolver, ["a.milvus.io", "b.milvus.io", "c.milvus.io"], "127.0.0.1", [])

    assert {name: problem.kind for name, problem in caught.value.domains.items()} == {
        "b.milvus.io": Kind.NOT_VISIBLE,
        "c.milvus.io": Kind.NOT_VISIBLE,
    }
    assert "b.milvus.io" in caught.value.fix


def test_another_namespace_s_host_is_not_certified() -> None:
    """All Ingresses share one address, so a host is certified only for the namespace that holds it."""
    holders = {HOST: "victim", "*": "victim", "*.cloud.milvus.io": "victim", "mine.milvus.io": "attacker"}

    check_held([HOST, "a.cloud.milvus.io"], "victim", holders)
    check_held(["mine.milvus.io", "nobodys.milvus.io"], "attacker", holders)
    with pytest.raises(AcmeError, match=r"the host a\.cloud\.milvus\.io is held"):
        check_held(["a.cloud.milvus.io"], "attacker", holders)
    with pytest.raises(AcmeError, match="is held by an Ingress of the namespace victim") as caught:
        check_held(["mine.milvus.io", HOST], "attacker", holders)

    assert list(caught.value.domains) == [HOST]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("8.8.8.8", ("8.8.8.8", 53)),
        ("127.0.0.1:5353", ("127.0.0.1", 5353)),
        ("::1", ("::1", 53)),
        ("[::1]:5353", ("::1", 5353)),
    ],
)
def test_the_address_of_a_resolver(text: str, expected: tuple[str, int]) -> None:
    """An address, with or without a port."""
    assert split_address(text) == expected


@pytest.mark.parametrize(
    "text", ["dns.google", "8.8.8.8:", "8.8.8.8:x", "8.8.8.8:0", "8.8.8.8:65536", ":53", "[::1:53", "[::1]"]
)
def test_no_address_of_a_resolver(text: str) -> None:
    """Anything else is refused in a sentence."""
    with pytest.raises(ValueError, match=r"is not the address|has no port"):
        split_address(text)
