"""When a certificate is renewed, and when a failure is tried again."""

from __future__ import annotations

import dataclasses
import datetime as dt

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kiteway.acme.problems import AcmeError, DomainProblem, Kind
from kiteway.acme.records import Failure, Renewal
from kiteway.acme.schedule import AskRenewal, Issue, Known, Wait, at_two_thirds, decide, failed
from kiteway.model import Certificate, PrivateKey

NOW = dt.datetime(2026, 11, 23, 8, tzinfo=dt.UTC)
HOST = "my-release.milvus.io"
DAY = dt.timedelta(days=1)
HOUR = dt.timedelta(hours=1)


def certificate(fingerprint: str = "a", begins: dt.datetime = NOW, lifetime: dt.timedelta = 90 * DAY) -> Certificate:
    """Return a certificate that begins at ``begins``."""
    return Certificate(
        name="managedcertificate/default/guide",
        chain=b"",
        key=PrivateKey(b"key"),
        names=(HOST,),
        not_before=begins,
        not_after=begins + lifetime,
        key_type="ECDSA",
        fingerprint=fingerprint,
        temporary=False,
        source=None,
    )


def known(**changes: object) -> Known:
    """Return what is known of a fresh certificate whose CA has no wishes."""
    fresh = Known(
        domains=(HOST,),
        issued=certificate(),
        issued_domains=(HOST,),
        issued_at=NOW - DAY,
        renewal=Renewal("a", None, NOW + 1000 * DAY),
    )
    return dataclasses.replace(fresh, **changes)  # type: ignore[arg-type]


def failure(retry_at: dt.datetime, attempts: int = 1, domains: tuple[str, ...] = (HOST,)) -> Failure:
    """Return a failed attempt."""
    return Failure(domains, attempts, Kind.UNAVAILABLE, "down.", "", {}, NOW, retry_at)


def test_without_a_certificate_one_is_issued() -> None:
    """Without a stored certificate one is needed now."""
    assert decide(Known((HOST,)), NOW) == Issue()


def test_a_fresh_certificate_waits_until_two_thirds() -> None:
    """A fresh certificate is renewed after two thirds of its lifetime and at most a twentieth more."""
    decision = decide(known(), NOW)

    assert isinstance(decision, Wait)
    assert NOW + 60 * DAY <= decision.until <= NOW + 64.5 * DAY
    assert decide(known(), decision.until) == Issue()


def test_the_jitter_is_the_certificates_own() -> None:
    """Every replica renews the same certificate at the same time, and other certificates at other times."""
    times = {at_two_thirds(certificate(name)) for name in "abcdefgh"}

    assert at_two_thirds(certificate("a")) == at_two_thirds(certificate("a"))
    assert len(times) == 8


def test_other_names_are_issued_at_once() -> None:
    """If the manifest asks for other names, the existing certificate does not count."""
    two = (HOST, "other.milvus.io")

    assert decide(known(domains=two), NOW) == Issue()
    assert isinstance(decide(known(domains=two, issued_domains=two[::-1]), NOW), Wait)


def test_the_ca_is_asked_for_its_wish() -> None:
    """The CA is asked when to renew if it has not been asked about this certificate yet."""
    assert decide(known(renewal=None), NOW) == AskRenewal()
    assert decide(known(renewal=Renewal("other", NOW, NOW + DAY)), NOW) == AskRenewal()
    assert decide(known(renewal=Renewal("a", None, NOW)), NOW) == AskRenewal()


def test_the_cas_wish_counts_more_than_two_thirds() -> None:
    """The CA may suggest an earlier or later renewal, but never one after the expiry."""
    soon = known(renewal=Renewal("a", NOW + HOUR, NOW + DAY))
    late = known(renewal=Renewal("a", NOW + 85 * DAY, NOW + 100 * DAY))
    never = known(renewal=Renewal("a", NOW + 200 * DAY, NOW + 300 * DAY))

    assert decide(soon, NOW) == Wait(NOW + HOUR)
    assert decide(soon, NOW + HOUR) == Issue()
    assert decide(late, NOW + 80 * DAY) == Wait(NOW + 85 * DAY)
    assert decide(never, NOW + 90 * DAY) == Issue()


def test_a_ca_that_always_wants_it_renewed_is_not_asked_at_once() -> None:
    """However early the CA suggests it, a renewal waits for at least a two-hundredth of the lifetime."""
    eager = known(issued_at=NOW, renewal=Renewal("a", NOW - DAY, NOW + DAY))
    old = known(issued=certificate(begins=NOW - 90 * DAY), issued_at=NOW)

    assert decide(eager, NOW) == Wait(NOW + 90 * DAY / 200)
    assert decide(old, NOW) == Wait(NOW + 90 * DAY / 200)


def test_a_failure_is_waited_out() -> None:
    """After a failure nothing is done before its time; a failure for other names does not count."""
    waiting = Known((HOST,), failure=failure(NOW + HOUR))

    assert decide(waiting, NOW) == Wait(NOW + HOUR)
    assert decide(waiting, NOW + HOUR) == Issue()
    assert decide(Known((HOST,), failure=failure(NOW + HOUR, domains=("other",))), NOW) == Issue()


@pytest.mark.parametrize(
    ("error", "first", "last"),
    [
        (AcmeError(Kind.NOT_VISIBLE, "precheck"), 5, 60),
        (AcmeError(Kind.NOT_VISIBLE, "validated", asked=True), 60, 3600),
        (AcmeError(Kind.UNAVAILABLE, "down"), 5, 600),
        (AcmeError(Kind.REFUSED, "no"), 3600, 86400),
        (AcmeError(Kind.RATE_LIMITED, "slow"), 3600, 21600),
    ],
    ids=lambda value: f"{value.kind}-{value.message}" if isinstance(value, AcmeError) else str(value),
)
def test_failures_are_tried_again_ever_more_slowly(error: AcmeError, first: int, last: int) -> None:
    """The wait begins short, doubles, and has a limit; failures that count against the CA's limits wait longer."""
    state, waits = Known((HOST,)), []
    for attempt in range(40):
        record = failed(state, error, NOW)
        assert record.attempts == attempt + 1
        waits.append((record.retry_at - NOW).total_seconds())
        state = Known((HOST,), failure=record)

    assert waits[0] == first
    assert waits[1] == min(2 * first, last)
    assert waits[-1] == last
    assert waits == sorted(waits)


def test_retry_after_counts() -> None:
    """After a rate limit the CA's Retry-After is the time, and it never shortens another wait."""
    limited = failed(Known((HOST,)), AcmeError(Kind.RATE_LIMITED, "", retry_at=NOW + dt.timedelta(seconds=7)), NOW)
    later = failed(Known((HOST,)), AcmeError(Kind.UNAVAILABLE, "", retry_at=NOW + HOUR), NOW)
    sooner = failed(Known((HOST,)), AcmeError(Kind.UNAVAILABLE, "", retry_at=NOW), NOW)

    assert limited.retry_at == NOW + dt.timedelta(seconds=7)
    assert later.retry_at == NOW + HOUR
    assert sooner.retry_at == NOW + dt.timedelta(seconds=5)


def test_a_demand_is_met_at_once() -> None:
    """
    A user's request renews a fresh certificate, also after an older failure, but not during a rate limit or
    after a newer failure.
    """
    demanded = known(demanded_at=NOW)
    older = msgspec.structs.replace(failure(NOW + HOUR), at=NOW - HOUR)

    assert decide(demanded, NOW) == Issue()
    assert decide(dataclasses.replace(demanded, failure=older), NOW) == Issue()
    assert decide(dataclasses.replace(demanded, failure=failure(NOW + HOUR)), NOW) == Wait(NOW + HOUR)
    limited = msgspec.structs.replace(older, kind=Kind.RATE_LIMITED)
    assert decide(dataclasses.replace(demanded, failure=limited), NOW) == Wait(NOW + HOUR)


def test_a_failure_of_other_names_begins_anew() -> None:
    """Attempts are counted for one set of names."""
    before = Known((HOST,), failure=failure(NOW, attempts=9, domains=("other",)))
    problem = AcmeError(Kind.NOT_VISIBLE, "m", "f", {HOST: DomainProblem(Kind.NOT_VISIBLE, "m")})

    record = failed(before, problem, NOW)

    assert record.attempts == 1
    assert record.problems == {HOST: (Kind.NOT_VISIBLE, "m")}


@given(
    age=st.floats(0, 2),
    asked=st.booleans(),
    kind=st.sampled_from(Kind),
    attempts=st.integers(0, 10**6),
    retry_after=st.none() | st.integers(-(10**6), 10**6),
)
def test_there_is_no_busy_loop(age: float, kind: Kind, attempts: int, retry_after: int | None, *, asked: bool) -> None:
    """After any failure, at any age of the certificate, the next decision is to wait for at least a second."""
    now = NOW + age * 90 * DAY
    retry_at = None if retry_after is None else now + dt.timedelta(seconds=retry_after)
    state = known(failure=failure(NOW, attempts) if attempts else None)
    after = dataclasses.replace(state, failure=failed(state, AcmeError(kind, "", retry_at=retry_at, asked=asked), now))
    decision = decide(after, now)

    assert isinstance(decision, Wait)
    assert decision.until >= now + dt.timedelta(seconds=1)
