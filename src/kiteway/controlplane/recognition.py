"""
Finds out which pools are Milvus, by the answer of their endpoints on the health port, which no other server gives.

Keepalive pings depend on it. Milvus accepts a ping every 5 s. Any other gRPC server, Milvus Lite too, accepts one every
300 s, and with more it ends all calls of the connection. The manifests cannot tell: a copy of the guide's BackendConfig
can have another server behind it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import httpx2

from kiteway.model import PoolKey
from kiteway.pipeline.health_addresses import Address, HealthAddresses
from kiteway.translate.shared.health import HEALTH_PATH

_TIMEOUT = 1.0
_AT_ONCE = 64
_MOST_ENDPOINTS = 3
"""The number of endpoints of a pool that are asked in one round, until one answers."""
_LONGEST_ANSWER = 8192


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


class Recognition:
    """
    The pools that are known to be Milvus, or not.

    One endpoint that answers decides for its pool, because a Service has one kind of server. When that endpoint has left,
    another one is asked; until it answers, the last answer holds.

    Attributes:
        milvus: the pools that are Milvus; the same object while its content is the same.
        complete: whether an endpoint of each pool has answered.
    """

    def __init__(
        self, ask: Callable[[httpx2.AsyncClient, Address], Awaitable[bool | None]] = answers_as_milvus
    ) -> None:
        self.milvus: frozenset[PoolKey] = frozenset()
        self.complete = True
        self._ask = ask
        self._found: dict[PoolKey, tuple[Address, bool]] = {}
        self._slots = asyncio.Semaphore(_AT_ONCE)

    async def look(self, addresses: HealthAddresses, within: float | None = None) -> bool:
        """
        Ask the pools that have not answered, and those whose endpoint that answered has left; return whether `milvus` changed.

        ``within`` is the longest time to wait for answers, in seconds.
        """
        self._found = {key: found for key, found in self._found.items() if key in addresses}
        asked = {
            key: there
            for key, there in addresses.items()
            if (known := self._found.get(key)) is None or known[0] not in there
        }
        answers = await self._answers(asked, within) if asked else {}
        self._found |= answers
        self.complete = answers.keys() == asked.keys()
        now = frozenset(key for key, (_, milvus) in self._found.items() if milvus)
        if now == self.milvus:
            return False
        self.milvus = now
        return True

    async def _answers(self, asked: HealthAddresses, within: float | None) -> dict[PoolKey, tuple[Address, bool]]:
        # Connections are not reused, because an endpoint is asked once.
        limits = httpx2.Limits(max_keepalive_connections=0)
        async with httpx2.AsyncClient(timeout=_TIMEOUT, trust_env=False, limits=limits) as client:
            tasks = {key: asyncio.create_task(self._first(client, there)) for key, there in asked.items()}
            _, late = await asyncio.wait(tasks.values(), timeout=within)
            for task in late:
                task.cancel()
            found = await asyncio.gather(*tasks.values(), return_exceptions=True)
        return {key: answer for key, answer in zip(tasks, found, strict=True) if isinstance(answer, tuple)}

    async def _first(self, client: httpx2.AsyncClient, addresses: tuple[Address, ...]) -> tuple[Address, bool] | None:
        for address in addresses[:_MOST_ENDPOINTS]:
            async with self._slots:
                answer = await self._ask(client, address)
            if answer is not None:
                return address, answer
        return None
