"""The next step for each state of an order, and the meaning of the CA's errors."""

from __future__ import annotations

import datetime as dt
import hashlib
import threading
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from josepy.b64 import b64encode
from josepy.jwk import JWK, JWKEC

from kiteway.acme import issuer, precheck
from kiteway.acme.challenges import HTTP_01, TLS_ALPN_01, to_show
from kiteway.acme.client import (
    Authorization,
    Challenge,
    Client,
    Identifier,
    OrderState,
    Problem,
    good_token,
    kind_of,
    new_key,
    retry_after,
)
from kiteway.acme.config import AcmeConfig
from kiteway.acme.context import IssuanceContext, StoppedError
from kiteway.acme.issuer import Step, next_step
from kiteway.acme.look import look
from kiteway.acme.problems import AcmeError, Kind
from kiteway.acme.records import Account, Issued, Order, read, write
from kiteway.acme.schedule import Known
from kiteway.acme.storage import FileStorage, LockedError
from kiteway.acme.wanted_certificate import WantedCertificate
from kiteway.acme.work import attempt
from kiteway.diagnostics import ObjectRef
from kiteway.envoy.settings import EnvoySettings
from kiteway.model import Challenge as Shown
from kiteway.model import HTTPChallenge, PrivateKey, TLSChallenge

NOW = dt.datetime(2026, 11, 23, 8, tzinfo=dt.UTC)
HOST = "my-release.milvus.io"
PREFIX = "urn:ietf:params:acme:error:"


def order(status: str) -> OrderState:
    """Return an order with one authorization."""
    return OrderState(status, ("https://ca/authz/1",), "https://ca/finalize", url="https://ca/order/1")


def authorization(status: str) -> Authorization:
    """Return an authorization of the guide's host."""
    return Authorization(Identifier("dns", HOST), status)


@pytest.mark.parametrize(
    ("status", "authorizations", "shown", "step"),
    [
        ("pending", ["pending"], False, Step.SHOW),
        ("pending", ["valid", "pending"], False, Step.SHOW),
        ("pending", ["pending"], True, Step.WAIT),
        ("pending", ["valid"], False, Step.WAIT),
        ("pending", ["pending", "invalid"], False, Step.ABANDON),
        ("pending", ["expired"], True, Step.ABANDON),
        ("ready", [], False, Step.FINALIZE),
        ("ready", [], True, Step.FINALIZE),
        ("processing", [], True, Step.WAIT),
        ("valid", [], False, Step.DOWNLOAD),
        ("invalid", ["invalid"], True, Step.ABANDON),
        ("unheard-of", [], True, Step.ABANDON),
    ],
)
def test_the_next_step(status: str, authorizations: Sequence[str], step: Step, *, shown: bool) -> None:
    """RFC 8555, section 7.1.6: for every state of an order there is one next step."""
    assert next_step(order(status), [authorization(a) for a in authorizations], shown=shown) is step


@pytest.mark.parametrize(
    ("code", "detail", "kind"),
    [
        ("connection", "refused", Kind.NOT_VISIBLE),
        ("dns", "NXDOMAIN", Kind.NOT_VISIBLE),
        ("dns", "SERVFAIL looking up CAA for milvus.io", Kind.CAA_CHECKING),
        ("unauthorized", "", Kind.NOT_VISIBLE),
        ("tls", "", Kind.NOT_VISIBLE),
        ("caa", "", Kind.CAA_FORBIDDEN),
        ("rateLimited", "", Kind.RATE_LIMITED),
        ("rejectedIdentifier", "", Kind.REFUSED),
        ("userActionRequired", "", Kind.REFUSED),
        ("serverInternal", "", Kind.UNAVAILABLE),
        ("accountDoesNotExist", "", Kind.ACCOUNT_GONE),
        ("neverHeardOf", "", Kind.REFUSED),
    ],
)
def test_the_cas_error_types(code: str, detail: str, kind: Kind) -> None:
    """The error types of RFC 8555, section 6.7, in GKE's words."""
    assert kind_of(Problem(f"{PREFIX}{code}", detail)) is kind


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7),
        ("0", 0),
        ("999999999999", 604800),
        ("Mon, 23 Nov 2126 08:00:00 GMT", 604800),
        ("soon", None),
        ("", None),
    ],
)
def test_retry_after(header: str, seconds: int | None) -> None:
    """Seconds or a date, at most a week; an invalid value counts as missing."""
    response = requests.Response()
    response.headers["Retry-After"] = header
    before = dt.datetime.now(dt.UTC)
    found = retry_after(response)

    if seconds is None:
        assert found is None
    else:
        assert found is not None
        assert abs((found - before).total_seconds() - seconds) < 60


@pytest.mark.parametrize("token", ["", "../..", "a/b", "a b", 'a"b', "a%0a", "a" * 257])
def test_a_token_becomes_part_of_a_path_only_if_it_is_one(token: str) -> None:
    """A CA cannot make Envoy answer on another path."""
    assert not good_token(token)
    assert good_token("aU5cwRlbead-W1mHwvOeDLRnM8eIz8_pU29lximC")


def account_key() -> JWK:
    """Return a fresh account's key."""
    return JWKEC(key=serialization.load_pem_private_key(new_key().reveal(), None))


def test_the_challenges() -> None:
    """RFC 8555: token and thumbprint; RFC 8737: their digest, critical, and the name as the only SAN."""
    key = account_key()
    http, tls = to_show(HTTP_01, HOST, "token", key, NOW), to_show(TLS_ALPN_01, HOST, "token", key, NOW)

    assert isinstance(http, HTTPChallenge)
    assert isinstance(tls, TLSChallenge)
    thumbprint = b64encode(key.thumbprint()).decode()
    assert http.key_authorization == f"token.{thumbprint}"
    certificate = x509.load_pem_x509_certificate(tls.certificate.chain)
    extension = certificate.extensions.get_extension_for_oid(x509.ObjectIdentifier("1.3.6.1.5.5.7.1.31"))
    assert extension.critical
    assert extension.value.public_bytes() == b"\x04\x20" + hashlib.sha256(http.key_authorization.encode()).digest()
    assert tls.certificate.names == (HOST,)


class FakeCA(Client):
    """A CA that answers from a script, without any network."""

    def __init__(self, states: Sequence[OrderState], challenges: Sequence[Challenge] = ()) -> None:
        self.key = account_key()
        self._states = iter(states)
        self._challenges = tuple(challenges)
        self.asked: list[str] = []

    @property
    def caa_identities(self) -> tuple[str, ...]:
        """Say nothing."""
        return ()

    def new_order(self, domains: Sequence[str]) -> OrderState:
        """Take an order."""
        self.asked.append("new order")
        return next(self._states)

    def order(self, url: str) -> OrderState:
        """Return the next state."""
        self.asked.append("order")
        return next(self._states)

    def authorization(self, url: str) -> Authorization:
        """Return a pending authorization."""
        return Authorization(Identifier("dns", HOST), "pending", self._challenges)

    def answer(self, challenge: Challenge) -> None:
        """Take the word."""
        self.asked.append(f"answer {challenge.type}")

    def finalize(self, order: OrderState, domains: Sequence[str], key: PrivateKey) -> OrderState:
        """Take the CSR."""
        self.asked.append("finalize")
        return next(self._states)

    def download(self, order: OrderState) -> str:
        """Return a chain."""
        self.asked.append("download")
        return "chain"


class Presenter:
    """Remembers what was shown."""

    def __init__(self) -> None:
        self.shown: list[Shown] = []
        self.hidden: list[Shown] = []

    def present(self, context: IssuanceContext, folder: str, challenges: Sequence[Shown]) -> None:
        """Show."""
        self.shown += challenges

    def clean_up(self, context: IssuanceContext, folder: str) -> None:
        """Hide."""
        self.hidden = list(self.shown)


@pytest.fixture
def context(tmp_path: Path) -> IssuanceContext:
    """Return a context with an empty storage."""
    return IssuanceContext(
        config=AcmeConfig(),
        storage=FileStorage(tmp_path),
        presenter=Presenter(),
        bind="127.0.0.1",
        stop=threading.Event(),
        now=lambda: dt.datetime.now(dt.UTC),
    )


def run(
    monkeypatch: pytest.MonkeyPatch, context: IssuanceContext, ca: FakeCA, kinds: Sequence[str] = (HTTP_01, TLS_ALPN_01)
) -> Issued:
    """Issue from ``ca``."""
    monkeypatch.setattr(issuer, "connect", lambda _: ca)
    monkeypatch.setattr(precheck, "check", lambda *_: None)
    with context.storage.lock("guide") as lease:
        return issuer.issue(context, "guide", (HOST,), kinds, lease)


def pending(*kinds: str, status: str = "pending") -> list[Challenge]:
    """Return challenges of these types."""
    return [Challenge(kind, f"https://ca/challenge/{kind}", status, "token") for kind in kinds]


def test_an_undisturbed_order(monkeypatch: pytest.MonkeyPatch, context: IssuanceContext) -> None:
    """The steps are order, show, answer, finalize, download, store; then the challenge is removed."""
    states = [order("pending"), order("ready"), order("processing"), order("valid")]
    ca = FakeCA([msgspec.structs.replace(state, retry_after=0.0) for state in states], pending(HTTP_01, TLS_ALPN_01))

    issued = run(monkeypatch, context, ca)

    assert ca.asked == ["new order", "answer http-01", "order", "finalize", "order", "download"]
    assert isinstance(context.presenter, Presenter)
    assert context.presenter.shown == context.presenter.hidden != []
    assert read(context.storage, "guide/certificate", Issued) == issued
    assert read(context.storage, "guide/order", Order) is None


def test_a_finished_order_is_not_gone_on_with(monkeypatch: pytest.MonkeyPatch, context: IssuanceContext) -> None:
    """An order whose certificate is stored, but which was not removed, is not used again."""
    key = new_key()
    write(context.storage, "guide/order", Order((HOST,), key, "https://ca/order/0"))
    write(context.storage, "guide/certificate", Issued((HOST,), "old", key, NOW))
    ca = FakeCA([order("ready"), order("valid")])

    issued = run(monkeypatch, context, ca)

    assert ca.asked == ["new order", "finalize", "download"]
    assert issued.key != key


def test_an_order_for_other_names_is_not_gone_on_with(
    monkeypatch: pytest.MonkeyPatch, context: IssuanceContext
) -> None:
    """If the manifest asks for other names meanwhile, there is a new order with a new key."""
    before = Order(("other.milvus.io",), new_key(), "https://ca/order/0")
    write(context.storage, "guide/order", before)
    ca = FakeCA([order("ready"), order("valid")])

    assert run(monkeypatch, context, ca).key != before.key
    assert ca.asked[0] == "new order"


def test_an_answered_challenge_is_shown_but_not_answered_again(
    monkeypatch: pytest.MonkeyPatch, context: IssuanceContext
) -> None:
    """After a kill the CA may still validate the challenge that it was told of, so that challenge is shown again."""
    write(context.storage, "guide/order", Order((HOST,), new_key(), "https://ca/order/1"))
    states = [order("pending"), order("ready"), order("valid")]
    offered = [*pending(HTTP_01), *pending(TLS_ALPN_01, status="processing")]
    ca = FakeCA([msgspec.structs.replace(state, retry_after=0.0) for state in states], offered)

    run(monkeypatch, context, ca)

    assert ca.asked == ["order", "order", "finalize", "download"]
    assert isinstance(context.presenter, Presenter)
    assert [type(shown) for shown in context.presenter.shown] == [TLSChallenge]


def test_a_challenge_that_cannot_be_answered(monkeypatch: pytest.MonkeyPatch, context: IssuanceContext) -> None:
    """If only other challenges are offered, or the token is invalid, the error is one sentence."""
    bad = [Challenge(HTTP_01, "https://ca/challenge/1", "pending", "../x"), *pending("dns-01")]

    with pytest.raises(AcmeError, match="does not offer http-01 or tls-alpn-01 for") as caught:
        run(monkeypatch, context, FakeCA([order("pending")], bad))

    assert caught.value.kind is Kind.REFUSED


def test_an_invalid_order_says_why_and_is_forgotten(monkeypatch: pytest.MonkeyPatch, context: IssuanceContext) -> None:
    """The message has the CA's reason, and the next attempt makes a new order."""
    invalid = msgspec.structs.replace(
        order("invalid"), error=Problem(f"{PREFIX}caa", "CAA record for x prevents issuance")
    )

    with pytest.raises(AcmeError, match="CAA record for x prevents issuance") as caught:
        run(monkeypatch, context, FakeCA([invalid]))

    assert (caught.value.kind, caught.value.asked) == (Kind.CAA_FORBIDDEN, True)
    assert read(context.storage, "guide/order", Order) is None


def test_a_process_that_ends_leaves_the_order(monkeypatch: pytest.MonkeyPatch, context: IssuanceContext) -> None:
    """A process that stops while it waits for the CA leaves the order to the next process."""
    context.stop.set()

    with pytest.raises(StoppedError):
        run(monkeypatch, context, FakeCA([order("processing")]))

    left = read(context.storage, "guide/order", Order)
    assert left is not None
    assert left.uri == "https://ca/order/1"


def test_records_hide_their_keys() -> None:
    """No record prints its key, and every record is read back equal."""
    key = new_key()
    for record in (Account(key, "https://ca/1"), Order((HOST,), key), Issued((HOST,), "chain", key, NOW)):
        assert "PRIVATE" not in repr(record) + str(record)
        assert "redacted" in repr(record)


def test_a_torn_record_counts_as_none(context: IssuanceContext) -> None:
    """An unreadable record is created again and does not end the process."""
    context.storage.store("guide/order", b'{"domains": ["')

    assert read(context.storage, "guide/order", Order) is None


def test_a_mistake_of_ours_is_a_failure_like_others(monkeypatch: pytest.MonkeyPatch, context: IssuanceContext) -> None:
    """An unexpected error is reported, waits like a failed validation, and does not end the manager."""

    def broken(_: IssuanceContext) -> Client:
        raise RuntimeError("nobody thought of this")

    monkeypatch.setattr(issuer, "connect", broken)
    wanted = WantedCertificate(ObjectRef("ManagedCertificate", "default", "guide"), (HOST,))

    attempt(context, wanted, EnvoySettings(), {})

    known = look(context, wanted)
    assert known.failure is not None
    assert "RuntimeError" in known.failure.message
    assert (known.failure.retry_at - known.failure.at).total_seconds() >= 60


def test_a_locked_certificate_is_left_to_the_other(monkeypatch: pytest.MonkeyPatch, context: IssuanceContext) -> None:
    """While another process issues, nothing is requested and nothing is written."""
    monkeypatch.setattr(issuer, "connect", lambda _: pytest.fail("the CA was asked"))
    wanted = WantedCertificate(ObjectRef("ManagedCertificate", "default", "guide"), (HOST,))

    with context.storage.lock(wanted.folder(context.config.issuer_key)), pytest.raises(LockedError):
        attempt(context, wanted, EnvoySettings(), {})

    assert look(context, wanted) == Known((HOST,))
