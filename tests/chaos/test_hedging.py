"""
With hedging, one slow proxy of three does not delay searches: the same Milvus at the same time, with hedging
and without.
"""

from __future__ import annotations

import asyncio
import time
from concurrent import futures
from typing import Any

import pytest

from bench.stats import quantile
from kiteway.milvus.embedded.ports import free_ports
from tests.chaos.balancers import wait_serving
from tests.chaos.world import World, world
from tests.support.kiteway import up_with_guide, wait_until
from tests.support.load import Target
from tests.support.reads import search_request, service

pytestmark = [pytest.mark.e2e, pytest.mark.chaos, pytest.mark.milvus, pytest.mark.timeout(300)]

_SLOWER_SECONDS = 1.0
"""On the way to one proxy and back."""
_DELAY = "50ms"
_SEARCHES = 150
_LIMIT = 3
"""Rows that a search asks for."""


def _search(target: Target, collection: str) -> list[float]:
    """Search one after the other and return the seconds each took; every one must find its rows."""
    taken = []
    with target.connect() as connection:
        stub = service(connection)
        for number in range(_SEARCHES):
            began = time.monotonic()
            assert _found(stub, collection, number) == _LIMIT
            taken.append(time.monotonic() - began)
    return taken


def test_a_slow_proxy_holds_up_no_hedged_search() -> None:
    """Every search returns the right rows; with hedging the 99th percentile is at most half."""
    plain, hedged = (quantile(each, 0.99) for each in asyncio.run(_measured()))

    assert plain > _SLOWER_SECONDS, "some searches went to the slow proxy"
    assert hedged < plain / 2


async def _measured() -> list[list[float]]:
    async with world() as found:
        return await asyncio.to_thread(_compared, found)


def _compared(found: World) -> list[list[float]]:
    endpoints = [(place.port, place.health_port) for place in found.places]
    ports = free_ports(2)
    targets = [found.target(name, port) for name, port in zip(("plain", "hedged"), ports, strict=True)]
    asked = {"hedging": {"delay": _DELAY}}
    with (
        up_with_guide(found.folder / "plain", found.front, ports[0], endpoints),
        up_with_guide(found.folder / "hedged", found.front, ports[1], endpoints, policy=asked),
    ):
        collection = targets[0].collection
        found.prepare(collection)
        for target in targets:
            wait_serving(target)
        # At Bounded what was just written is found a little later.
        wait_until(lambda: all(_rows(target, collection, 0) == _LIMIT for target in targets), "the rows are found")
        found.relay.set_delay(_SLOWER_SECONDS)
        with futures.ThreadPoolExecutor(len(targets)) as executor:
            return list(executor.map(lambda target: _search(target, collection), targets))


def _rows(target: Target, collection: str, number: int) -> int:
    with target.connect() as connection:
        return _found(service(connection), collection, number)


def _found(stub: Any, collection: str, number: int) -> int:
    answer = stub.Search(search_request(collection, number), timeout=20)
    assert answer.status.code == 0, answer.status.reason
    return sum(answer.results.topks)
