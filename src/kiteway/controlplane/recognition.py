"""
Finds out which pools are Milvus, by the answer of their endpoints on the health port, which no other server gives.

Keepalive pings depend on it. Milvus accepts a ping every 5 s. Any other gRPC server, Milvus Lite too, accepts one every
300 s, and with more it ends all calls of the connection. The manifests cannot tell: a copy of the guide's BackendConfig
can have another server behind it.
"""

from __future__ import annotations

import asyncio
import json
import operator
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import httpx2

from kiteway.model import PoolKey
from kiteway.pipeline.health_addresses import Address, HealthAddresses
from kiteway.translate.shared.health import HEALTH_PATH

_TIMEOUT = 1.0
_AT_ONCE = 64
_MOST_ENDPOINTS = 3
"""The number of endpoints of a pool that are asked in one round, until one answers."""
_MOST_AGAIN = 16
"""The number of pools without an answer that are asked again in one round."""
_LONGEST_ANSWER = 8192
_PAUSE, _LONGEST_PAUSE = 1.0, 60.0
"""Seconds before a pool that has not answered is asked again, at first and at most; each pause is twice the last one."""

_Answers = Mapping[PoolKey, tuple[Address, bool] | None]
"""Of each pool that was asked in time: the endpoint that answered and whether it is Milvus; None if none answered."""


async def answers_as_milvus(client: httpx2.AsyncClient, address: Address) -> bool | None:
    """
    Return whether Milvus answers at ``address``, or None without an answer.

    If a request has the Content-Type of JSON, Milvus's ``/healthz`` lists the components of Milvus and their states, whether
    or not Milvus is healthy (Milvus, ``internal/http/healthz``).
    """
    host = f"[{address.host}]" if ":" in address.host else address.host
    url = f"http://{host}:{address.port}{HEALTH_PATH}"
    try:
        async with (
            asyncio.timeout(_TIMEOUT),
            client.stream("GET", url, headers={"content-type": "application/json"}) as response,
        ):
            body = b""
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > _LONGEST_ANSWER:
                    return False
    except (TimeoutError, httpx2.HTTPError, httpx2.InvalidURL):
        return None
    return _is_milvus(body)


def _is_milvus(body: bytes) -> bool:
    try:
        answer: Any = json.loads(body)
    except (ValueError, RecursionError):
        return False
    if not isinstance(answer, dict) or not isinstance(answer.get("state"), str):
        return False
    # A Milvus that has just started has no component yet.
    detail = answer.get("detail", False)
    return detail is None or (
        isinstance(detail, list) and all(isinstance(each, dict) and {"name", "code"} <= each.keys() for each in detail)
    )


@dataclass(frozen=True, slots=True)
class _Silent:
    """
    A pool that has not answered.

    Attributes:
        addresses: those that it had when it was asked last; empty if it was late then.
        due: when it is asked again.
        pause: the seconds from when it was asked until then.
    """

    addresses: tuple[Address, ...]
    due: float
    pause: float


class Recognition:
    """
    The pools that are known to be Milvus, or not.

    One endpoint that answers decides for its pool, because a Service has one kind of server. When that endpoint has left,
    another one is asked; until it answers, the last answer holds. A pool that does not answer is asked again after a pause
    that grows, and its new endpoints at the next look; but only a few such pools in one look.

    Attributes:
        milvus: the pools that are Milvus; the same object while its content is the same.
    """

    def __init__(
        self,
        ask: Callable[[httpx2.AsyncClient, Address], Awaitable[bool | None]] = answers_as_milvus,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.milvus: frozenset[PoolKey] = frozenset()
        self._ask = ask
        self._clock = clock
        self._found: dict[PoolKey, tuple[Address, bool]] = {}
        self._silent: dict[PoolKey, _Silent] = {}
        self._slots = asyncio.Semaphore(_AT_ONCE)

    @property
    def next_due(self) -> float | None:
        """The seconds until a pool that has not answered is asked again; None when all have answered."""
        if not self._silent:
            return None
        return max(0.0, min(silent.due for silent in self._silent.values()) - self._clock())

    async def look(self, addresses: HealthAddresses, within: float | None = None) -> bool:
        """
        Ask the pools that are due, and those whose endpoint that answered has left; return whether `milvus` changed.

        ``within`` is the longest time to wait for answers, in seconds; pools that are late are asked at the next look.
        """
        self._found = {key: found for key, found in self._found.items() if key in addresses}
        self._silent = {key: silent for key, silent in self._silent.items() if key in addresses}
        asked = self._due(addresses)
        answers = await self._answers(asked, within) if asked else {}
        self._found |= {key: answer for key, answer in answers.items() if answer is not None}
        self._wait(addresses, asked, answers)
        now = frozenset(key for key, (_, milvus) in self._found.items() if milvus)
        if now == self.milvus:
            return False
        self.milvus = now
        return True

    def _due(self, addresses: HealthAddresses) -> dict[PoolKey, tuple[Address, ...]]:
        """Return which endpoints to ask now."""
        now = self._clock()
        asked: dict[PoolKey, tuple[Address, ...]] = {}
        again: list[tuple[float, PoolKey, tuple[Address, ...]]] = []
        for key, there in addresses.items():
            if (known := self._found.get(key)) is not None and known[0] in there:
                self._silent.pop(key, None)
            elif (silent := self._silent.get(key)) is None or not silent.addresses:
                asked[key] = there
            elif silent.due <= now:
                again.append((silent.due, key, there))
            elif silent.addresses is not there and (new := tuple([a for a in there if a not in silent.addresses])):
                again.append((silent.due, key, new))
        # Those that have been due for the longest come first.
        again.sort(key=operator.itemgetter(0))
        return asked | {key: there for _, key, there in again[:_MOST_AGAIN]}

    def _wait(self, addresses: HealthAddresses, asked: HealthAddresses, answers: _Answers) -> None:
        """Note the pools that were asked and have not answered."""
        now = self._clock()
        for key in asked:
            before = self._silent.pop(key, None)
            if key not in answers:
                self._silent[key] = _Silent((), now, _PAUSE)
            elif answers[key] is not None:
                continue
            elif before is None:
                self._silent[key] = _Silent(addresses[key], now + _PAUSE, _PAUSE)
            elif before.due <= now:
                pause = min(2 * before.pause, _LONGEST_PAUSE)
                self._silent[key] = _Silent(addresses[key], now + pause, pause)
            else:
                self._silent[key] = _Silent(addresses[key], before.due, before.pause)

    async def _answers(self, asked: HealthAddresses, within: float | None) -> _Answers:
        """Return the answers; without those that are late."""
        # Connections are not reused, because an endpoint is asked once. It is plain HTTP: reading the CAs would take 50 ms.
        limits = httpx2.Limits(max_keepalive_connections=0)
        async with httpx2.AsyncClient(verify=False, timeout=_TIMEOUT, trust_env=False, limits=limits) as client:
            tasks = {key: asyncio.create_task(self._first(client, there)) for key, there in asked.items()}
            _, late = await asyncio.wait(tasks.values(), timeout=within)
            for task in late:
                task.cancel()
            found = await asyncio.gather(*tasks.values(), return_exceptions=True)
        return {
            key: answer if isinstance(answer, tuple) else None
            for key, answer in zip(tasks, found, strict=True)
            if not isinstance(answer, asyncio.CancelledError)
        }

    async def _first(self, client: httpx2.AsyncClient, addresses: tuple[Address, ...]) -> tuple[Address, bool] | None:
        for address in addresses[:_MOST_ENDPOINTS]:
            async with self._slots:
                answer = await self._ask(client, address)
            if answer is not None:
                return address, answer
        return None
