"""Keeps every ManagedCertificate issued and fresh, one task each; what blocks runs in threads."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import threading
import traceback
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass, field
from typing import Any

import structlog

from kiteway.certificates.acme.config import AcmeConfig
from kiteway.certificates.acme.live import is_live
from kiteway.certificates.acme.look import look
from kiteway.certificates.acme.means import Means, StoppedError
from kiteway.certificates.acme.problems import AcmeError, Kind
from kiteway.certificates.acme.schedule import AskRenewal, Issue, Known, Wait, decide
from kiteway.certificates.acme.status import managed_report
from kiteway.certificates.acme.wanted import Wanted
from kiteway.certificates.storage import LeaseLostError, LockedError, Storage
from kiteway.certificates.temporary import grown_old, temporary_certificate
from kiteway.envoy.settings import EnvoySettings
from kiteway.model import Certificate, Challenge
from kiteway.probe.threads import in_daemon_thread

_log = structlog.get_logger(__name__)

_AT_ONCE = 4
"""Certificates that are issued at the same time."""
_LOOK_SECONDS = 10.0
"""Another process may have renewed meanwhile, or a person asked for it."""
_LOCKED_SECONDS = 1.0
_SHOW_SECONDS = 30.0
_STOP_SECONDS = 2.0


@dataclass(slots=True)
class _Item:
    """One certificate: what is wanted, what is known, what is served."""

    wanted: Wanted
    known: Known
    served: Certificate
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None


class ManagedCertificates:
    """All ManagedCertificates of an instance."""

    def __init__(
        self,
        config: AcmeConfig,
        storage: Storage,
        settings: EnvoySettings,
        publish: Callable[[], Awaitable[None]],
        converged: Callable[[], Awaitable[None]],
    ) -> None:
        """
        Prepare; nothing is asked of anybody yet.

        Args:
            config: the CA and the account.
            storage: where accounts and certificates are.
            settings: where the listeners are.
            publish: called when `served` or `challenges` changed; returns when it is published.
            converged: returns when every live Envoy runs what is published.
        """
        self._config = config
        self._settings = settings
        self._publish = publish
        self._converged = converged
        self._items: dict[str, _Item] = {}
        self._shown: dict[Challenge, None] = {}
        self._holders: Mapping[str, str] = {}
        self._running = False
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._loop = asyncio.get_running_loop()
        self._means = Means(
            config=config,
            storage=storage,
            presenter=self,
            bind=settings.bind,
            stop=threading.Event(),
            now=lambda: dt.datetime.now(dt.UTC),
        )

    @property
    def served(self) -> Mapping[str, Certificate]:
        """What answers for each ManagedCertificate, by ``namespace/name``."""
        return {key: item.served for key, item in self._items.items()}

    @property
    def challenges(self) -> tuple[Challenge, ...]:
        """What the CA shall see now, in a fixed order."""
        return tuple(sorted(self._shown, key=repr))

    def report(self) -> list[dict[str, Any]]:
        """Return the status of every ManagedCertificate."""
        now = self._means.now()
        return [managed_report(i.wanted, i.known, self._config, now) for _, i in sorted(self._items.items())]

    async def update(self, wanted: Iterable[Wanted]) -> None:
        """Take what the resources say; a new certificate is served as it is stored, or as a temporary one."""
        found = {each.key: each for each in wanted}
        for key in self._items.keys() - found.keys():
            self._end(self._items.pop(key))
        for key, each in found.items():
            item = self._items.get(key)
            if item is None:
                known = await asyncio.to_thread(look, self._means, each)
                item = self._items[key] = _Item(each, known, self._serving(each, known, None))
                if self._running:
                    self._begin(item)
            elif item.wanted != each:
                item.wanted = each
                item.known = await asyncio.to_thread(look, self._means, each)
                item.served = self._serving(each, item.known, item.served)
                item.changed.set()

    def hold(self, holders: Mapping[str, str]) -> None:
        """Take which namespace holds each host that is served."""
        self._holders = holders

    async def run(self) -> None:
        """Keep all certificates until cancelled."""
        self._running = True
        try:
            for item in self._items.values():
                self._begin(item)
            await asyncio.Event().wait()
        finally:
            self._running = False
            self._means.stop.set()
            for item in self._items.values():
                item.changed.set()
            tasks = [item.task for item in self._items.values() if item.task is not None]
            if tasks:
                # An attempt that is stopped gives its lock back, so that the next start need not wait for it.
                _, late = await asyncio.wait(tasks, timeout=_STOP_SECONDS)
                for task in late:
                    task.cancel()

    def _begin(self, item: _Item) -> None:
        item.task = asyncio.create_task(self._keep(item), name=item.wanted.certificate)

    @staticmethod
    def _end(item: _Item) -> None:
        if item.task is not None:
            item.task.cancel()

    async def _keep(self, item: _Item) -> None:
        while not self._means.stop.is_set():
            try:
                seconds = await self._turn(item)
                await self._adopt(item)
            except StoppedError:
                return
            except (LockedError, LeaseLostError):
                seconds = _LOCKED_SECONDS
            except Exception:  # noqa: BLE001 - a full disk, or a mistake of ours, must not end the keeping itself
                # Not `exception`, which would print local variables, keys among them.
                _log.error("certificate", name=item.wanted.key, traceback=traceback.format_exc())
                seconds = _LOOK_SECONDS
            await self._pause(item, seconds)

    async def _turn(self, item: _Item) -> float:
        """Do what is to be done now; return the seconds until the next look."""
        wanted, means = item.wanted, self._means
        now = means.now()
        decision = decide(await _blocking(lambda: look(means, wanted)), now)
        if isinstance(decision, Wait):
            return max(min((decision.until - now).total_seconds(), _LOOK_SECONDS), 0.0)
        if self._config.blocked or not wanted.attached:
            return _LOOK_SECONDS
        from kiteway.certificates.acme.work import ask_renewal, attempt

        async with self._slots:
            match decision:
                case Issue():
                    await _blocking(lambda: attempt(means, wanted, self._settings, self._holders))
                case AskRenewal():
                    await _blocking(lambda: ask_renewal(means, wanted))
        return 0.0

    async def _adopt(self, item: _Item) -> None:
        """Serve what the storage holds now."""
        wanted = item.wanted
        known = await _blocking(lambda: look(self._means, wanted))
        if item.wanted != wanted:
            return
        before, item.known = item.known, known
        if known.failure is not None and known.failure != before.failure:
            _log.warning("certificate", name=wanted.key, kind=str(known.failure.kind), message=known.failure.message)
        served = self._serving(wanted, known, item.served)
        if served != item.served:
            item.served = served
            _log.info("certificate", name=wanted.key, fingerprint=served.fingerprint, temporary=served.temporary)
            await self._publish()

    async def _pause(self, item: _Item, seconds: float) -> None:
        if self._means.stop.is_set():
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await item.changed.wait()
        item.changed.clear()

    def _serving(self, wanted: Wanted, known: Known, before: Certificate | None) -> Certificate:
        """Return the issued certificate, whatever its state; without one, a temporary one."""
        if known.issued is not None:
            return known.issued
        now = self._means.now()
        if before is not None and before.temporary and before.names == wanted.domains and not grown_old(before, now):
            return before
        return temporary_certificate(wanted.certificate, wanted.domains, wanted.ref, now)

    # The presenter: called in the thread of an attempt.

    def present(self, challenges: Sequence[Challenge]) -> None:
        """See `kiteway.certificates.acme.issuer.Presenter`: over ADS first, then seen on the listener itself."""
        self._in_loop(self._show(challenges))
        deadline = self._means.now() + dt.timedelta(seconds=_SHOW_SECONDS)
        for challenge in challenges:
            while not is_live(challenge, self._settings):
                if self._means.now() > deadline:
                    raise AcmeError(
                        Kind.UNAVAILABLE,
                        f"the challenge for {challenge.domain} is not answered on this machine's own listener.",
                        "See whether Envoy runs and rejects nothing: `kiteway status`.",
                    )
                self._means.sleep(0.1)

    def clean_up(self, challenges: Sequence[Challenge]) -> None:
        """See `kiteway.certificates.acme.issuer.Presenter`."""
        with contextlib.suppress(AcmeError, StoppedError):
            self._in_loop(self._hide(challenges))

    async def _show(self, challenges: Sequence[Challenge]) -> None:
        self._shown |= dict.fromkeys(challenges)
        await self._publish()
        await self._converged()

    async def _hide(self, challenges: Sequence[Challenge]) -> None:
        for challenge in challenges:
            self._shown.pop(challenge, None)
        await self._publish()

    def _in_loop(self, work: Any) -> None:
        future: Future[None] = asyncio.run_coroutine_threadsafe(work, self._loop)
        deadline = self._means.now() + dt.timedelta(seconds=_SHOW_SECONDS)
        while True:
            try:
                return future.result(timeout=0.2)
            except FutureTimeoutError:
                if self._means.stop.is_set():
                    future.cancel()
                    raise StoppedError from None
                if self._means.now() > deadline:
                    future.cancel()
                    raise AcmeError(
                        Kind.UNAVAILABLE, "Envoy did not take the challenge in time.", "See `kiteway status`."
                    ) from None


async def _blocking(call: Callable[[], Any]) -> Any:
    return await in_daemon_thread(call, name="acme")
