"""Reads of a Python client that differ from each other, which h2load cannot make, and what the cache did with each."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Self

import grpc.aio
from pymilvus.grpc_gen import milvus_pb2

from bench.backends import SERVICE
from bench.balancers import HOST
from bench.outcome import BenchError

_CALL_SECONDS = 30.0
_UNDER_WAY = 64
_READS_TO_AN_INSERT = 100
UNCHANGED = "none"
"""The outcome of a read without the header: there is no cache, or it has sent the read unchanged at once."""


@dataclass
class Seen:
    """
    What the client saw.

    Attributes:
        milliseconds: of each read, from its call to its answer.
        outcomes: how many reads had each outcome, a bypass with its reason, or `UNCHANGED`.
        seconds: how long all of it took.
    """

    milliseconds: list[float] = field(default_factory=list)
    outcomes: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def rate(self) -> float:
        """Reads a second."""
        return len(self.milliseconds) / self.seconds


class Reader:
    """A client of 127.0.0.1:``port`` with so many connections; an asynchronous context manager."""

    def __init__(self, port: int, connections: int) -> None:
        self._port, self._connections = port, connections
        self._stack = AsyncExitStack()
        self._channels: list[grpc.aio.Channel] = []
        self._next = 0

    async def __aenter__(self) -> Self:
        certificate = ssl.get_server_certificate(("127.0.0.1", self._port), timeout=_CALL_SECONDS)
        credentials = grpc.ssl_channel_credentials(certificate.encode())
        options = [
            ("grpc.ssl_target_name_override", HOST),
            ("grpc.use_local_subchannel_pool", 1),
            ("grpc.enable_retries", 0),
        ]
        for _ in range(self._connections):
            channel = grpc.aio.secure_channel(f"127.0.0.1:{self._port}", credentials, options)
            self._channels.append(await self._stack.enter_async_context(channel))
        await asyncio.wait_for(asyncio.gather(*(each.channel_ready() for each in self._channels)), 2 * _CALL_SECONDS)
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self._stack.aclose()

    async def read(self, message: bytes, seen: Seen) -> str:
        """
        Search, add what was seen to ``seen``, and return the outcome.

        Raises:
            BenchError: the search failed.
        """
        began = time.perf_counter()
        answer, outcome = await self._call("Search", message)
        seen.milliseconds.append((time.perf_counter() - began) * 1e3)
        results = milvus_pb2.SearchResults.FromString(answer)
        if results.status.code or results.status.error_code or not results.results.topks:
            raise BenchError(f"a search: {results.status.reason or 'no rows'}")
        seen.outcomes[outcome] = seen.outcomes.get(outcome, 0) + 1
        return outcome

    async def insert(self, message: bytes) -> None:
        """
        Insert.

        Raises:
            BenchError: it failed.
        """
        answer, _ = await self._call("Insert", message)
        result = milvus_pb2.MutationResult.FromString(answer)
        if result.status.code or result.status.error_code:
            raise BenchError(f"an insert: {result.status.reason}")

    async def _call(self, method: str, message: bytes) -> tuple[bytes, str]:
        self._next = (self._next + 1) % len(self._channels)
        path = f"{SERVICE}/{method}"
        multi: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = self._channels[self._next].unary_unary(path)
        call = multi(message, timeout=_CALL_SECONDS)
        try:
            answer = await call
            metadata = await call.initial_metadata()
        except grpc.aio.AioRpcError as error:
            raise BenchError(f"{method}: {error.code().name} {error.details()}") from error
        header = next((str(value) for name, value in metadata if name == "kiteway-cache"), UNCHANGED)
        return answer, header.partition("; age")[0].replace("; reason=", ", ")

    async def at_rate(
        self, rate: float, seconds: float, reads: Iterator[bytes], inserts: Iterator[bytes] | None = None
    ) -> Seen:
        """
        Make reads so many times a second for ``seconds``, and one insert for a hundred of them.

        At most `_UNDER_WAY` calls are under way, so the rate is lower where answers take long.
        """
        seen, places = Seen(), asyncio.Semaphore(_UNDER_WAY)

        async def one(message: bytes, insert: bytes | None) -> None:
            try:
                await self.read(message, seen)
                if insert is not None:
                    await self.insert(insert)
            finally:
                places.release()

        began = time.perf_counter()
        calls: list[asyncio.Future[None]] = []
        while (due := began + len(calls) / rate) < began + seconds and time.perf_counter() < began + seconds:
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            await places.acquire()
            insert = next(inserts) if inserts is not None and len(calls) % _READS_TO_AN_INSERT == 0 else None
            calls.append(asyncio.ensure_future(one(next(reads), insert)))
        await asyncio.gather(*calls)
        seen.seconds = time.perf_counter() - began
        return seen
