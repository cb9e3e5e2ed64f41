"""Challenges on all replicas: written to the shared storage, and acknowledged by each replica."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
from collections.abc import Sequence
from typing import Final

import structlog

from kiteway.acme.challenge_server import ChallengeServer
from kiteway.acme.context import IssuanceContext
from kiteway.acme.problems import AcmeError, Kind
from kiteway.acme.records import Challenges, challenges_of, decoded, write
from kiteway.acme.replicated.membership import Membership
from kiteway.acme.replicated.storage import SecretStorage
from kiteway.acme.storage import LEASE_SECONDS, LeaseLostError
from kiteway.model import Challenge
from kiteway.probe.threads import in_daemon_thread

_log = structlog.get_logger(__name__)

_ENTRY: Final = "challenges"
_WAIT: Final = dt.timedelta(seconds=60)
"""Seconds to wait for all replicas; the wait for one that dies meanwhile ends after `LEASE_SECONDS`."""
_SHOWN: Final = dt.timedelta(minutes=20)
"""Twice as long as an attempt may take."""
_AGAIN_SECONDS: Final = 0.5
_LOOK_SECONDS: Final = LEASE_SECONDS


class Together:
    """
    The presenter of one of several replicas.

    Every replica, the leader too, shows the stored challenges, tests its own listeners, and acknowledges.
    """

    def __init__(self, storage: SecretStorage, membership: Membership, server: ChallengeServer) -> None:
        self._storage = storage
        self._membership = membership
        self._challenge_server = server
        self._news = asyncio.Event()
        self._live: set[str] = set()
        storage.listeners.append(lambda _: self._news.set())

    async def run(self) -> None:
        """Show the stored challenges until cancelled."""
        while True:
            self._news.clear()
            wanted = self._wanted()
            with contextlib.suppress(TimeoutError):  # the test below decides
                await self._challenge_server.replace({folder: each.all for folder, each in wanted.items()})
            records = {each.digest: each.all for each in wanted.values()}
            self._live &= records.keys()
            for digest in records.keys() - self._live:
                if await self._see(records[digest]):
                    self._live.add(digest)
            self._membership.show(self._live)
            seconds = _LOOK_SECONDS if self._live == records.keys() else _AGAIN_SECONDS
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._news.wait()

    def present(self, context: IssuanceContext, folder: str, challenges: Sequence[Challenge]) -> None:
        """See `kiteway.acme.context.Presenter`."""
        record = challenges_of(challenges, context.now() + _SHOWN)
        write(self._storage, f"{folder}/{_ENTRY}", record)
        # A replica that joined before the challenge was written is in the Lease by now; a later one reads it first.
        self._storage.wait(self._membership.refresh)
        members = self._membership.members
        deadline = context.now() + _WAIT
        while waited := members.waited_for(record.digest):
            names = ", ".join(waited)
            context.waiting(folder, f"{len(waited)} of {members.living} replicas to show the challenge: {names}")
            if context.now() > deadline:
                raise AcmeError(
                    Kind.UNAVAILABLE,
                    f"the challenge is not shown by every replica, so the CA was not asked to validate it. These replicas do not show it: {names}.",
                    "Check there with `kiteway status` that Envoy runs and rejects nothing.",
                )
            context.sleep(0.1)
        context.waiting(folder, f"the CA; the challenge is shown by all {members.living} replicas")

    def clean_up(self, context: IssuanceContext, folder: str) -> None:  # noqa: ARG002 - see Presenter
        """See `kiteway.acme.context.Presenter`."""
        try:
            self._storage.delete(f"{folder}/{_ENTRY}")
        except (LeaseLostError, OSError) as error:
            _log.info("challenge not removed", folder=folder, error=str(error))

    async def _see(self, challenges: Sequence[Challenge]) -> bool:
        return await in_daemon_thread(lambda: all(map(self._challenge_server.is_live, challenges)), name="challenge")

    def _wanted(self) -> dict[str, Challenges]:
        """Return the challenges to show now, by folder."""
        now = dt.datetime.now(dt.UTC)
        found = {folder: decoded(value, Challenges) for folder, value in self._storage.seen(_ENTRY).items()}
        return {folder: each for folder, each in found.items() if each is not None and each.until > now}
