"""Hands each of Envoy's acknowledgements and rejections to the quarantine, and publishes what the quarantine decides."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import functools
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from kiteway.envoy.admin import AdminClient, AdminError
from kiteway.envoy.ads import CLUSTER, AdsServer, AdsState
from kiteway.envoy.clusters import ClusterStatus
from kiteway.pipeline.pipeline import Outcome, Pipeline
from kiteway.quarantine.quarantine import Quarantine
from kiteway.quarantine.store import write
from kiteway.report.pools import EndpointFailure

_log = structlog.get_logger(__name__)

OVERDUE_SECONDS: Final = 0.5
"""Seconds that a change waits for Envoy's verdict on an earlier change; then it is published all the same."""
WARMING_SECONDS: Final = 0.1
"""Seconds that a change waits for another one whose clusters are warming; then this other one is put aside until they are."""
START_SECONDS: Final = 3.0
"""Seconds that a starting Envoy may wait for the first health checks of all endpoints."""
SEARCH_SECONDS: Final = 5.0
"""Seconds that a search lasts; Ingresses that are not settled then are held back."""
RETRY_SECONDS, RETRY_LONGEST_SECONDS = 5.0, 60.0
"""Seconds before an Ingress that is held back without proof is tried again: the first pause and the longest."""
_KEEP_SECONDS: Final = 0.1
"""Seconds between two writes of the file; a culprit that was found is written at once."""

_LOOK_SECONDS: Final = 0.1
"""Seconds between two requests to an Envoy whose clusters are warming."""

Take = Callable[[Quarantine], None]
_Judged = tuple[int, tuple[str, ...]]


@dataclass(slots=True)
class _Clock:
    """When each wait began, in seconds of the event loop's clock."""

    generation: int = -1
    published: float = 0.0
    search: float | None = None
    retry: float | None = None
    retry_wait: float = RETRY_SECONDS


class Verdicts:
    """Follows the newest client of the ADS server."""

    def __init__(
        self,
        pipeline: Pipeline,
        ads: AdsServer,
        admin: AdminClient,
        lock: asyncio.Lock,
        *,
        publish: Callable[[Outcome | None], Awaitable[None]],
        file: Path,
    ) -> None:
        """Prepare. ``lock`` is held while the pipeline runs; ``file`` stores what has to survive a restart."""
        self._pipeline = pipeline
        self._ads = ads
        self._lock = lock
        self._publish = publish
        self._file = file
        self._admin = admin
        self._client: dt.datetime | None = None
        self._judged: _Judged | None = None
        self._taken = asyncio.Event()
        self._found = asyncio.Event()
        self._clock = _Clock()

    async def run(self) -> None:
        """Pass verdicts on until cancelled."""
        while True:
            changed = self._ads.next_change
            async with self._lock:
                take = self._next()
                if take is not None:
                    await self._take(take)
            if take is None:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout_at(self._deadline()):
                        await changed.wait()

    async def follow_warming(self) -> None:
        """Publish without clusters that have been warming for long, until cancelled."""
        while True:
            changed = self._ads.next_change
            late, outcome = self._late_at(), self._pipeline.outcome
            if outcome is None or late is None or asyncio.get_running_loop().time() < late:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout_at(late if outcome is not None else None):
                        await changed.wait()
                continue
            # Not under the lock: an Envoy that builds a large table answers after seconds, and changes must not wait for it.
            with contextlib.suppress(AdminError):
                active = await self._admin.clusters()
                async with self._lock:
                    now = self._pipeline.outcome
                    # Endpoints may have changed meanwhile, as they always do in a large cluster; clusters may not.
                    same = now is not None and now.snapshot[CLUSTER] is outcome.snapshot[CLUSTER]
                    if now is not None and same and self._clusters_late():
                        await self._set_aside(now, active)
            await asyncio.sleep(_LOOK_SECONDS)

    async def keep(self) -> None:
        """Store what has to survive a restart, whenever it has changed, until cancelled."""
        while True:
            await self._taken.wait()
            self._taken.clear()
            async with self._lock:
                stored = await asyncio.to_thread(self._pipeline.stored)
            try:
                await asyncio.to_thread(write, self._file, stored)
            except OSError as error:
                _log.warning("quarantine not stored", file=str(self._file), error=error.strerror or str(error))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_KEEP_SECONDS):
                    await self._found.wait()
            self._found.clear()

    async def _take(self, take: Take) -> None:
        before = self._pipeline.outcome
        outcome = await asyncio.to_thread(self._pipeline.judge, take, dt.datetime.now(dt.UTC))
        await self._publish(outcome)
        if before is not None and outcome is not None:
            known = {each.ref for each in before.quarantine.held if each.since}
            for each in outcome.quarantine.held:
                if each.since is not None and each.ref not in known:
                    self._found.set()
                    _log.warning("quarantined", about=str(each.ref), message=each.message)
        self._taken.set()

    def _next(self) -> Take | None:
        """Return the next event for the quarantine; each verdict of Envoy is returned once."""
        outcome, state = self._pipeline.outcome, self._ads.state
        if outcome is None:
            return None
        now = asyncio.get_running_loop().time()
        self._follow(outcome, now)
        if not self._client_changed(state):
            verdict = self._verdict(outcome, state)
            if verdict is not None:
                return verdict
            event = self._late(outcome, now)
        else:
            event = Quarantine.reconnect
        if event is not None:
            # The same configuration can stay published, and gets a new verdict.
            self._judged = None
        return event

    def _follow(self, outcome: Outcome, now: float) -> None:
        clock, quarantine = self._clock, outcome.quarantine
        if outcome.generation != clock.generation:
            clock.generation = outcome.generation
            # Changes wait for all trials apart from others together no longer than for any other verdict.
            clock.published = clock.published if quarantine.apart else now
        if not quarantine.searching:
            clock.search = None
        elif clock.search is None:
            clock.search = now
        if not quarantine.retry:
            clock.retry, clock.retry_wait = None, RETRY_SECONDS
        elif clock.retry is None:
            clock.retry = now + clock.retry_wait
            clock.retry_wait = min(2 * clock.retry_wait, RETRY_LONGEST_SECONDS)

    async def _set_aside(self, outcome: Outcome, active: Mapping[str, ClusterStatus]) -> None:
        """Publish without the Ingresses whose clusters are warming."""
        [client] = self._ads.state.streams[-1:]
        warming = {name for name in outcome.snapshot[CLUSTER] if name not in active}
        if client.starting:
            # While Envoy starts, all clusters are active; it waits for the first health check of every endpoint.
            warming |= {name for name in outcome.snapshot[CLUSTER] if name in active and _unchecked(active[name])}
            if warming:
                await self._take(functools.partial(Quarantine.leave_out, clusters=warming))
        else:
            await self._take(functools.partial(Quarantine.park, clusters=warming))
        # No published route leads to a warming cluster now, so the routes can be sent.
        self._ads.assume_clusters()

    def _clusters_late(self) -> bool:
        """Return whether clusters have been warming for so long that everything waits for them."""
        late = self._late_at()
        return late is not None and asyncio.get_running_loop().time() >= late

    def _late_at(self) -> float | None:
        """Return the time from which warming clusters are overdue; None when nothing waits for any."""
        client = self._ads.state.streams[-1:]
        if not client or client[0].clusters_sent is None or not client[0].current:
            return None
        if client[0].starting:
            return client[0].clusters_sent + START_SECONDS
        outcome = self._pipeline.outcome
        others_wait = outcome is not None and outcome.quarantine.waiting
        return client[0].clusters_sent + (WARMING_SECONDS if others_wait else OVERDUE_SECONDS)

    def _client_changed(self, state: AdsState) -> bool:
        """Return whether a client has disconnected, or another has connected: the next one can be without a configuration."""
        client = state.streams[-1].connected_at if state.streams else None
        before, self._client = self._client, client
        # A client that connects when none was connected gets what was chosen when the last one disconnected.
        return before is not None and client != before

    def _verdict(self, outcome: Outcome, state: AdsState) -> Take | None:
        if not state.streams or state.version != outcome.snapshot.version or not state.streams[-1].current:
            return None
        client = state.streams[-1]
        rejections = self._pipeline.against(each.rejection for each in client.refusals) if client.refusals else []
        if outcome.quarantine.withheld and client.active:
            return Quarantine.warm
        if outcome.quarantine.parked and client.clusters_answered and client.converged and not rejections:
            return Quarantine.unpark
        judged = (outcome.generation, tuple(rejection.nonce for rejection in rejections))
        if judged == self._judged:
            return None
        if rejections:
            self._judged = judged
            return functools.partial(Quarantine.reject, rejections=rejections, now=dt.datetime.now(dt.UTC))
        if client.converged and (outcome.quarantine.undecided or outcome.quarantine.blocked):
            self._judged = judged
            return Quarantine.accept
        return None

    def _late(self, outcome: Outcome, now: float) -> Take | None:
        clock, quarantine = self._clock, outcome.quarantine
        if clock.search is not None and now >= clock.search + SEARCH_SECONDS:
            clock.search = None
            return Quarantine.give_up
        if quarantine.waiting and now >= clock.published + OVERDUE_SECONDS:
            clock.published = now
            return Quarantine.overdue
        if clock.retry is not None and now >= clock.retry and not quarantine.undecided:
            clock.retry = None
            return Quarantine.retry
        return None

    def _deadline(self) -> float | None:
        """Return the next time at which something is overdue, in the event loop's time; None for none."""
        clock, outcome = self._clock, self._pipeline.outcome
        if outcome is None:
            return None
        found: list[float] = []
        found += [clock.search + SEARCH_SECONDS] if clock.search is not None else []
        found += [clock.published + OVERDUE_SECONDS] if outcome.quarantine.waiting else []
        found += [clock.retry] if clock.retry is not None and not outcome.quarantine.undecided else []
        return min(found, default=None)


def _unchecked(cluster: ClusterStatus) -> bool:
    """Return whether an endpoint was not checked yet."""
    return any(EndpointFailure.CHECK_PENDING in endpoint.failures for endpoint in cluster.endpoints)
