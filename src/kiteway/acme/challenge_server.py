"""Challenges on this machine's own listeners: published to Envoy, then fetched as the CA will fetch them."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Any

from kiteway.acme.context import IssuanceContext, StoppedError
from kiteway.acme.problems import AcmeError, Kind
from kiteway.acme.self_check import is_live
from kiteway.envoy.settings import EnvoySettings
from kiteway.model import Challenge

_SHOW_SECONDS = 30.0


class ChallengeServer:
    """The challenges that this machine shows, by the folder of the certificate they are for."""

    def __init__(
        self,
        settings: EnvoySettings,
        publish: Callable[[], Awaitable[None]],
        converged: Callable[[], Awaitable[None]],
    ) -> None:
        """
        Prepare; no challenge is shown yet.

        Args:
            settings: where the listeners are.
            publish: called when `challenges` changed; returns when it is published.
            converged: returns when every live Envoy of this machine runs what is published.
        """
        self._settings = settings
        self._publish = publish
        self._converged = converged
        self._shown: dict[str, tuple[Challenge, ...]] = {}

    @property
    def challenges(self) -> tuple[Challenge, ...]:
        """All challenges that are shown, in a fixed order."""
        return tuple(sorted({c for each in self._shown.values() for c in each}, key=repr))

    async def show(self, folder: str, challenges: Sequence[Challenge]) -> None:
        """Return when Envoy has accepted them. Raises ``TimeoutError``."""
        self._shown[folder] = tuple(challenges)
        await self._publish()
        await self._converged()

    async def hide(self, folder: str) -> None:
        """Remove the challenges of a certificate."""
        if self._shown.pop(folder, None) is not None:
            await self._publish()

    async def replace(self, shown: Mapping[str, Sequence[Challenge]]) -> None:
        """Show exactly these. Return when Envoy has accepted them. Raises ``TimeoutError``."""
        wanted = {folder: tuple(challenges) for folder, challenges in shown.items()}
        if wanted != self._shown:
            self._shown = wanted
            await self._publish()
        if wanted:
            await self._converged()

    def is_live(self, challenge: Challenge) -> bool:
        """Return whether the listener answers a challenge, which Envoy's ACK does not prove. Blocks for seconds."""
        return is_live(challenge, self._settings)


class LocalPresenter:
    """A presenter that has no other replicas to wait for."""

    def __init__(self, server: ChallengeServer) -> None:
        self._challenge_server = server
        self._loop = asyncio.get_running_loop()

    def present(self, context: IssuanceContext, folder: str, challenges: Sequence[Challenge]) -> None:
        """See `kiteway.acme.context.Presenter`: publishes by ADS, then tests the listener itself."""
        self._in_loop(context, self._challenge_server.show(folder, challenges))
        deadline = context.now() + dt.timedelta(seconds=_SHOW_SECONDS)
        for challenge in challenges:
            while not self._challenge_server.is_live(challenge):
                if context.now() > deadline:
                    raise AcmeError(
                        Kind.UNAVAILABLE,
                        f"the challenge for {challenge.domain} is not answered on this machine's own listener.",
                        "Check with `kiteway status` that Envoy runs and rejects nothing.",
                    )
                context.sleep(0.1)

    def clean_up(self, context: IssuanceContext, folder: str) -> None:
        """See `kiteway.acme.context.Presenter`."""
        with contextlib.suppress(AcmeError, StoppedError):
            self._in_loop(context, self._challenge_server.hide(folder))

    def _in_loop(self, context: IssuanceContext, work: Coroutine[Any, Any, None]) -> None:
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        deadline = context.now() + dt.timedelta(seconds=_SHOW_SECONDS)
        while True:
            try:
                return future.result(timeout=0.2)
            except FutureTimeoutError:
                if context.stop.is_set():
                    future.cancel()
                    raise StoppedError from None
                if context.now() > deadline:
                    future.cancel()
                    raise AcmeError(
                        Kind.UNAVAILABLE, "Envoy did not accept the challenge in time.", "See `kiteway status`."
                    ) from None
