"""Issues and renews every ManagedCertificate, one task for each; blocking calls run in threads."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import threading
import traceback
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import structlog

from kiteway.acme.config import AcmeConfig
from kiteway.acme.context import IssuanceContext, Presenter, StoppedError
from kiteway.acme.look import look
from kiteway.acme.schedule import AskRenewal, Issue, Known, Wait, decide
from kiteway.acme.status import managed_report
from kiteway.acme.storage import LeaseLostError, LockedError, Storage
from kiteway.acme.temporary import grown_old, temporary_certificate
from kiteway.acme.wanted_certificate import WantedCertificate
from kiteway.envoy.settings import EnvoySettings
from kiteway.model import Certificate
from kiteway.probe.threads import in_daemon_thread
from kiteway.report.certificates import ManagedCertificateReport

_log = structlog.get_logger(__name__)

_AT_ONCE = 4
"""How many certificates are issued at the same time."""
_LOOK_SECONDS = 10.0
"""Seconds between two reads of the storage: another process may have renewed, or a user may have asked for a renewal."""
_LOCKED_SECONDS = 1.0
_STOP_SECONDS = 2.0


@dataclass(slots=True)
class _Item:
    """One certificate: the wanted one, its records, and the served one."""

    wanted: WantedCertificate
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
        presenter: Presenter,
        settings: EnvoySettings,
        publish: Callable[[], Awaitable[None]],
        *,
        addresses: Callable[[], tuple[str, ...]] = tuple,
    ) -> None:
        """
        Prepare; no request is sent yet.

        Args:
            config: the CA and the account.
            storage: where accounts and certificates are.
            presenter: makes challenges visible to the CA.
            settings: which challenges can be answered, and where.
            publish: called when `served` changed; returns when it is published.
            addresses: where clients reach Kiteway, as far as it is configured or known.
        """
        self._config = config
        self._settings = settings
        self._publish = publish
        self._items: dict[str, _Item] = {}
        self._waiting: dict[str, str] = {}
        self._holders: Mapping[str, str] = {}
        self._running = False
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._context = IssuanceContext(
            config=config,
            storage=storage,
            presenter=presenter,
            bind=settings.bind,
            stop=threading.Event(),
            now=lambda: dt.datetime.now(dt.UTC),
            addresses=addresses,
            waiting=self._waiting.__setitem__,
        )

    @property
    def served(self) -> Mapping[str, Certificate]:
        """The served certificate of each ManagedCertificate, by ``namespace/name``."""
        return {key: item.served for key, item in self._items.items()}

    def report(self) -> list[ManagedCertificateReport]:
        """Return the status of every ManagedCertificate."""
        now = self._context.now()
        return [
            managed_report(i.wanted, i.known, self._config, now, self._waiting.get(self._folder(i.wanted), ""))
            for _, i in sorted(self._items.items())
        ]

    def look_again(self, folder: str) -> None:
        """Note that another process has written to a folder of the storage."""
        item = self._items.get("/".join(folder.split("/")[-2:]))
        if item is not None and self._folder(item.wanted) == folder:
            item.changed.set()

    async def update(self, wanted: Iterable[WantedCertificate]) -> None:
        """Take the ManagedCertificates of the resources; a new one is served from the storage or temporarily."""
        found = {each.key: each for each in wanted}
        for key in self._items.keys() - found.keys():
            self._end(self._items.pop(key))
        for key, each in found.items():
            item = self._items.get(key)
            if item is None:
                known = await asyncio.to_thread(look, self._context, each)
                item = self._items[key] = _Item(each, known, self._serving(each, known, None))
                if self._running:
                    self._begin(item)
            elif item.wanted != each:
                item.wanted = each
                item.known = await asyncio.to_thread(look, self._context, each)
                item.served = self._serving(each, item.known, item.served)
                item.changed.set()

    def hold(self, holders: Mapping[str, str]) -> None:
        """Replace the record of which namespace holds each served host."""
        self._holders = holders

    async def run(self) -> None:
        """Issue and renew all certificates until cancelled."""
        self._running = True
        try:
            for item in self._items.values():
                self._begin(item)
            await asyncio.Event().wait()
        finally:
            self._running = False
            self._context.stop.set()
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
        while not self._context.stop.is_set():
            try:
                seconds = await self._turn(item)
                await self._adopt(item)
            except StoppedError:
                return
            except Exception:  # noqa: BLE001 - a full disk, or a mistake of ours, must not end the keeping itself
                # Not `exception`, which would print local variables, keys among them.
                _log.error("certificate", name=item.wanted.key, traceback=traceback.format_exc())
                seconds = _LOOK_SECONDS
            await self._pause(item, seconds)

    async def _turn(self, item: _Item) -> float:
        """Do what is due; return the seconds until the next check."""
        wanted, context = item.wanted, self._context
        now = context.now()
        decision = decide(await _blocking(lambda: look(context, wanted)), now)
        if isinstance(decision, Wait):
            return max(min((decision.until - now).total_seconds(), _LOOK_SECONDS), 0.0)
        if self._config.blocked or not wanted.attached:
            return _LOOK_SECONDS
        from kiteway.acme.work import ask_renewal, attempt

        try:
            async with self._slots:
                match decision:
                    case Issue():
                        await _blocking(lambda: attempt(context, wanted, self._settings, self._holders))
                    case AskRenewal():
                        await _blocking(lambda: ask_renewal(context, wanted))
        except (LockedError, LeaseLostError):
            return _LOCKED_SECONDS  # another process works on it; the certificate that it stores is adopted
        finally:
            self._waiting.pop(self._folder(wanted), None)
        return 0.0

    async def _adopt(self, item: _Item) -> None:
        """Serve the certificate that the storage holds now."""
        wanted = item.wanted
        known = await _blocking(lambda: look(self._context, wanted))
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
        if self._context.stop.is_set():
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await item.changed.wait()
        item.changed.clear()

    def _serving(self, wanted: WantedCertificate, known: Known, before: Certificate | None) -> Certificate:
        """Return the issued certificate, whatever its state; without one, a temporary one."""
        if known.issued is not None:
            return known.issued
        if before is not None and not before.temporary and set(before.names) == set(wanted.domains):
            return before  # the stored certificate was deleted; the served one stays until there is another
        now = self._context.now()
        if before is not None and before.temporary and before.names == wanted.domains and not grown_old(before, now):
            return before
        return temporary_certificate(wanted.certificate, wanted.domains, wanted.ref, now)

    def _folder(self, wanted: WantedCertificate) -> str:
        return wanted.folder(self._config.issuer_key)


async def _blocking(call: Callable[[], Any]) -> Any:
    return await in_daemon_thread(call, name="acme")
