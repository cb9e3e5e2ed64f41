"""Limits under 500 clients, of one replica and of two together, in real Envoys in front of a small gRPC server."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import random
import time
from collections import Counter
from pathlib import Path
from typing import Any

import grpc
import msgspec
import pytest
from pymilvus.grpc_gen import milvus_pb2

from kiteway import filter as kiteway_filter
from kiteway.envoy.xds.route_policy import policy_for_filter
from kiteway.model import Limit, Policy
from kiteway.model.policy import LimitKey
from tests.e2e.admission import OWN_SUBCHANNEL, RATE_LIMIT, Milvus, behind, question
from tests.e2e.traffic import SEARCH

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(180),
    pytest.mark.skipif(kiteway_filter.filter_path() is None, reason=kiteway_filter.missing_reason()),
]

CLIENTS = 500
LIMIT = 200
"""Calls a second of one user."""
PAUSE = 0.8
"""Seconds between two calls of a client: all clients of the flood together ask for three times the limit."""
SECONDS = 10.0
WINDOWS = 6
"""How often it is measured for so many seconds, until the flood has asked for more than the limit all the while."""
LONGEST_PAUSE = 0.5
"""Seconds between two refusals of an Envoy, above which the flood has asked for less than the limit meanwhile."""
BURST = 4.0
"""Seconds: the clients are one process, which other work on the machine may hold up for a second."""


class Flood:
    """Clients that each have a connection to one of some Envoys, and what they were answered, by user and code."""

    def __init__(self, ports: list[int]) -> None:
        self._ports = ports
        self._steady = asyncio.Event()
        self._end = asyncio.Event()
        self.codes: dict[str, Counter[int]] = {"over": Counter(), "under": Counter()}
        self._refused: dict[int, list[float]] = {port: [] for port in ports}

    async def run(self) -> float:
        """Run all clients, and return how many calls of the user over the limit passed, as a share of the limit."""
        draw = random.Random(1)
        async with asyncio.TaskGroup() as clients:
            for _ in range(CLIENTS):
                clients.create_task(self._client("over", draw.choice(self._ports), PAUSE))
            for port in self._ports:
                clients.create_task(self._client("under", port, 0.1))
            await self._steady.wait()
            for _ in range(WINDOWS):
                await self._bursts_spent()
                began, before = time.monotonic(), self.codes["over"][0]
                await asyncio.sleep(SECONDS)
                passed, ended = self.codes["over"][0] - before, time.monotonic()
                share = passed / (LIMIT * (ended - began))
                if share > 1 or all(self._longest_pause(port, began, ended) < LONGEST_PAUSE for port in self._ports):
                    break
            self._end.set()
        return share

    async def _bursts_spent(self) -> None:
        """Wait until every Envoy refuses: it has nothing left of the burst that it saves while less is asked for."""
        began = time.monotonic()
        while not all(refused and refused[-1] > began for refused in self._refused.values()):  # noqa: ASYNC110
            await asyncio.sleep(0.02)

    def _longest_pause(self, port: int, began: float, ended: float) -> float:
        """Return the longest time, in seconds, in which an Envoy refused nothing of the user over the limit."""
        refused = [began, *(at for at in self._refused[port] if began < at < ended), ended]
        return max(after - before for before, after in itertools.pairwise(refused))

    async def _client(self, user: str, port: int, pause: float) -> None:
        metadata = (("authorization", base64.b64encode(f"{user}:secret".encode()).decode()),)
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=OWN_SUBCHANNEL) as channel:
            call: Any = channel.unary_unary(SEARCH)
            while not self._end.is_set():
                answer = await call(question(), timeout=30, metadata=metadata)
                code = milvus_pb2.SearchResults.FromString(answer).status.code
                self.codes[user][code] += 1
                if (user, code) == ("over", RATE_LIMIT):
                    self._refused[port].append(time.monotonic())
                if self.codes[user][RATE_LIMIT] >= CLIENTS:
                    self._steady.set()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._end.wait(), pause)


@pytest.mark.parametrize(("replicas", "tolerance"), [(1, 0.05), (2, 0.1)])
def test_a_limit_holds_under_500_clients(replicas: int, tolerance: float, tmp_path: Path) -> None:
    """Replicas together let through what the limit says; a user below its limit is never refused."""
    policy = Policy(limits=(Limit(by=(LimitKey.USER,), requests_per_second=LIMIT, burst=BURST),), limits_scope="policy")
    share = policy_for_filter(policy, replicas)
    with Milvus() as milvus, contextlib.ExitStack() as envoys:
        ports = []
        for number in range(replicas):
            folder = tmp_path / str(number)
            folder.mkdir()
            ports.append(envoys.enter_context(behind(milvus, msgspec.to_builtins(share), folder)).port)
        flood = Flood(ports)

        passed = asyncio.run(flood.run())

        assert passed == pytest.approx(1, rel=tolerance)
        assert set(flood.codes["under"]) == {0}
        assert sum(flood.codes["under"].values()) > 20
        assert milvus.calls == {user: codes[0] for user, codes in flood.codes.items()}
