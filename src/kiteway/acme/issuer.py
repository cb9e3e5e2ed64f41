"""
One certificate from the CA, step by step.

The storage records each step before it is done, so that the next attempt finishes one that was killed: a key is stored
before the request that uses it, an order's URL as soon as it is known, and chain and key of the certificate in one value.
"""

from __future__ import annotations

import datetime as dt
import enum
from collections.abc import Sequence
from pathlib import Path

from kiteway.acme import precheck
from kiteway.acme.challenges import to_show
from kiteway.acme.client import Authorization, Client, OrderState, good_token, kind_of, new_key
from kiteway.acme.client import Challenge as ChallengeState
from kiteway.acme.config import AcmeConfig
from kiteway.acme.context import IssuanceContext, StoppedError
from kiteway.acme.problems import AcmeError, DomainProblem, Kind
from kiteway.acme.records import Account, Issued, Order, read, write
from kiteway.acme.resolver import DNSResolver
from kiteway.acme.storage import HeldLock

_POLL_FIRST = 0.5
_POLL_LAST = 10.0
_PATIENCE = dt.timedelta(minutes=10)
"""Seconds that an attempt waits for the CA; the order stays stored, and the next attempt continues it."""


class Step(enum.Enum):
    """The next step for an order."""

    SHOW = enum.auto()
    WAIT = enum.auto()
    FINALIZE = enum.auto()
    DOWNLOAD = enum.auto()
    ABANDON = enum.auto()


def next_step(order: OrderState, authorizations: Sequence[Authorization], *, shown: bool) -> Step:
    """Return the next step, by the order's state at the CA (RFC 8555, section 7.1.6) and whether challenges are shown."""
    match order.status:
        case "valid":
            return Step.DOWNLOAD
        case "ready":
            return Step.FINALIZE
        case "processing":
            return Step.WAIT
        case "pending":
            if any(a.status not in {"pending", "valid"} for a in authorizations):
                return Step.ABANDON
            return Step.WAIT if shown or all(a.status == "valid" for a in authorizations) else Step.SHOW
        case _:
            return Step.ABANDON


def issue(
    context: IssuanceContext, folder: str, domains: tuple[str, ...], kinds: Sequence[str], lease: HeldLock
) -> Issued:
    """
    Get a new certificate, store it, and return it.

    Args:
        context: see `IssuanceContext`.
        folder: the certificate's folder in the storage.
        domains: the names.
        kinds: the challenges that can be answered, the preferred one first.
        lease: the lock on ``folder``; the caller has looked at the storage since it got it.

    Raises:
        AcmeError: what failed, and how.
        StoppedError: the process ends.
        LeaseLostError, OSError: the storage's.
    """
    client = connect(context)
    resolver = DNSResolver(context.config.resolver)
    precheck.check(resolver, domains, context.bind, client.caa_identities, context.addresses())
    record, order = _begin(context, client, folder, domains, lease)
    try:
        chain = _Attempt(context, client, folder, record, kinds=kinds, lease=lease).run(order)
    except StoppedError:
        raise  # the CA may be validating just now; the process that continues the order removes the challenge
    except BaseException as error:
        context.presenter.clean_up(context, folder)
        if isinstance(error, AcmeError) and error.asked:
            context.storage.delete(f"{folder}/order")
        raise
    context.presenter.clean_up(context, folder)
    issued = Issued(domains, chain, record.key, context.now())
    lease.check()
    write(context.storage, f"{folder}/certificate", issued)
    context.storage.delete(f"{folder}/order")
    return issued


def connect(context: IssuanceContext) -> Client:
    """
    Return a client of the CA, with the stored account or a new one.

    Raises:
        AcmeError: the CA refuses the account.
        LockedError: another task or process creates the account just now.
    """
    config, storage = context.config, context.storage
    path = f"acme/{config.issuer_key}/account"
    known = read(storage, path, Account)
    if known is not None and known.uri:
        client = Client(config.directory, known.key, config.ca_file)
        client.use(known.uri)
        return client
    with storage.lock(path):
        known = read(storage, path, Account)
        if known is None:
            known = Account(new_key())
            write(storage, path, known)
        client = Client(config.directory, known.key, config.ca_file)
        if known.uri:
            client.use(known.uri)
            return client
        write(storage, path, Account(known.key, client.register(config.contact, config.eab_kid, _eab_key(config))))
        return client


def _eab_key(config: AcmeConfig) -> str:
    if not config.eab_key_file:
        return ""
    try:
        return Path(config.eab_key_file).read_text().strip()
    except OSError as error:
        raise AcmeError(
            Kind.REFUSED,
            f"the key of the external account binding cannot be read: {config.eab_key_file}: {error.strerror}.",
            "Correct --acme-eab-key-file.",
        ) from error


def forget_account(context: IssuanceContext) -> None:
    """Make the next attempt register the account again, with the same key: the CA does not know it any more."""
    path = f"acme/{context.config.issuer_key}/account"
    known = read(context.storage, path, Account)
    if known is not None:
        write(context.storage, path, Account(known.key))


def _begin(
    context: IssuanceContext, client: Client, folder: str, domains: tuple[str, ...], lease: HeldLock
) -> tuple[Order, OrderState]:
    """Return the order that was begun, or a new one."""
    path = f"{folder}/order"
    record = read(context.storage, path, Order)
    issued = read(context.storage, f"{folder}/certificate", Issued)
    if record is not None and issued is not None and record.key == issued.key:
        record = None  # the order is complete; only its removal was interrupted
    if record is not None and record.domains == domains and record.uri:
        found = _find(client, record.uri)
        if found is not None:
            return record, found
        record = None
    if record is None or record.domains != domains:
        record = Order(domains, new_key())
        write(context.storage, path, record)
    lease.check()
    made = client.new_order(domains)
    record = Order(domains, record.key, made.url)
    write(context.storage, path, record)
    return record, made


def _find(client: Client, url: str) -> OrderState | None:
    """Return the stored order if it can still be continued."""
    try:
        found = client.order(url)
    except AcmeError as error:
        if error.kind in {Kind.UNAVAILABLE, Kind.RATE_LIMITED, Kind.ACCOUNT_GONE}:
            raise
        return None  # the CA deletes old orders
    return None if found.status == "invalid" else found


class _Attempt:
    """One attempt at an order, from its present state."""

    def __init__(
        self,
        context: IssuanceContext,
        client: Client,
        folder: str,
        record: Order,
        *,
        kinds: Sequence[str],
        lease: HeldLock,
    ) -> None:
        self._context = context
        self._client = client
        self._folder = folder
        self._record = record
        self._kinds = kinds
        self._lease = lease
        self._is_shown = False

    def run(self, order: OrderState) -> str:
        """Return the PEM chain."""
        client, deadline, poll = self._client, self._context.now() + _PATIENCE, _POLL_FIRST
        while self._context.now() < deadline:
            authorizations = (
                [client.authorization(url) for url in order.authorizations]
                if order.status in {"pending", "invalid"}
                else []
            )
            self._lease.check()
            match next_step(order, authorizations, shown=self._is_shown):
                case Step.DOWNLOAD:
                    return client.download(order)
                case Step.FINALIZE:
                    order = client.finalize(order, self._record.domains, self._record.key)
                    continue
                case Step.SHOW:
                    self._show(authorizations)
                case Step.ABANDON:
                    raise _refusal(order, authorizations)
                case Step.WAIT:
                    pass
            wait = order.retry_after if order.retry_after is not None else poll
            self._context.sleep(min(max(wait, 0.1), 60.0))
            poll = min(poll * 1.5, _POLL_LAST)
            order = client.order(order.url)
        raise AcmeError(Kind.UNAVAILABLE, "the CA has not come to a decision within 10 minutes.")

    def _show(self, authorizations: Sequence[Authorization]) -> None:
        """Show the challenges of all names at once, then ask the CA to validate."""
        chosen = [(a, self._choose(a)) for a in authorizations if a.status == "pending"]
        self._context.presenter.present(
            self._context,
            self._folder,
            [to_show(c.type, a.identifier.value, c.token, self._client.key, self._context.now()) for a, c in chosen],
        )
        self._is_shown = True
        for _, challenge in chosen:
            self._lease.check()
            if challenge.status == "pending":
                self._client.answer(challenge)

    def _choose(self, authorization: Authorization) -> ChallengeState:
        """Return the challenge to answer: one that is in progress, else the preferred kind."""
        offered = {c.type: c for c in authorization.challenges if c.type in self._kinds and good_token(c.token)}
        begun = [c for c in offered.values() if c.status == "processing"]
        if begun:
            return begun[0]
        for kind in self._kinds:
            if kind in offered:
                return offered[kind]
        raise AcmeError(
            Kind.REFUSED,
            f"the CA does not offer {' or '.join(self._kinds)} for {authorization.identifier.value}.",
            "Use another CA: --acme-directory URL.",
        )


def _refusal(order: OrderState, authorizations: Sequence[Authorization]) -> AcmeError:
    """Return the error that explains why an order failed."""
    problems = {
        a.identifier.value: DomainProblem(kind_of(c.error), f"the CA says: {c.error.detail or c.error.type}")
        for a in authorizations
        for c in a.challenges
        if c.error is not None
    }
    for name, problem in problems.items():
        return AcmeError(problem.kind, f"{name}: {problem.message}", _FIX.get(problem.kind, ""), problems, asked=True)
    if order.error is not None:
        return AcmeError(kind_of(order.error), f"the CA says: {order.error.detail or order.error.type}", asked=True)
    return AcmeError(Kind.UNAVAILABLE, "the CA ended the order without a reason.", asked=True)


_FIX = {
    Kind.NOT_VISIBLE: "Its A and AAAA records must lead to Kiteway's ports 80 and 443, with no other server in front of them.",
    Kind.CAA_FORBIDDEN: "Allow the CA in the CAA records, or use another CA: --acme-directory URL.",
    Kind.CAA_CHECKING: "The name's DNS servers must answer CAA queries.",
}
