"""Which pools count as Milvus, by the answer on their health port."""

from __future__ import annotations

import asyncio

import httpx2
import pytest

from kiteway.controlplane.recognition import Recognition, answers_as_milvus
from kiteway.model import Endpoint, HealthCheck, HealthCheckType, PoolKey
from kiteway.pipeline.health_addresses import Address, HealthAddresses, health_addresses
from tests.e2e.traffic import pool
from tests.support.health import MILVUS, answering

KEY, OTHER = PoolKey("default", "milvus", 19530), PoolKey("default", "other", 19530)
FIRST, SECOND, THIRD = (Address(f"10.0.0.{number}", 9091) for number in (1, 2, 3))


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("body", "status", "milvus"),
    [
        (MILVUS, 200, True),
        (b'{"state":"component proxy state is Initializing","detail":[{"name":"proxy","code":0}]}', 500, True),
        (b'{"state":"Not all components are registered, 0/0","detail":null}', 500, True),
        (b"", 200, False),
        (b"OK", 200, False),
        (b'{"state":"OK"}', 200, False),
        (b'{"status":"UP","detail":[]}', 200, False),
        (b'{"state":"OK","detail":["proxy"]}', 200, False),
        (b"[" * 100_000, 200, False),
        (b"[" * 8000, 200, False),
        (b"\xff", 404, False),
    ],
)
async def test_milvus_answers_as_no_other_does(body: bytes, status: int, milvus: bool) -> None:  # noqa: FBT001
    """Milvus lists its components, healthy or not; a server that only answers 200 is not Milvus, whatever its text."""
    with answering(body, status) as port:
        async with httpx2.AsyncClient(trust_env=False) as client:
            found = await answers_as_milvus(client, Address("127.0.0.1", port))
            assert found is milvus
    async with httpx2.AsyncClient(trust_env=False) as client:
        assert await answers_as_milvus(client, Address("127.0.0.1", port)) is None


def due(recognition: Recognition) -> float | None:
    """Return the seconds until a pool is asked again."""
    return recognition.next_due


class Asked:
    """Answers by address, and who was asked; with a clock."""

    def __init__(self) -> None:
        self.answers: dict[Address, bool] = {}
        self.asked: list[Address] = []
        self.now = 0.0

    def clock(self) -> float:
        """Return the time."""
        return self.now

    async def after(self, seconds: float, recognition: Recognition, addresses: HealthAddresses) -> list[Address]:
        """Look after a time, and return who was asked."""
        self.now += seconds
        self.asked.clear()
        await recognition.look(addresses)
        return list(self.asked)

    async def __call__(self, _client: httpx2.AsyncClient, address: Address) -> bool | None:
        """Answer as told."""
        self.asked.append(address)
        return self.answers.get(address)


@pytest.mark.anyio
async def test_one_endpoint_decides_for_its_pool() -> None:
    """One endpoint is asked once; when it is removed another is asked, and until that answers nothing changes."""
    asked = Asked()
    recognition = Recognition(asked, asked.clock)
    assert not await recognition.look({KEY: (FIRST, SECOND)})
    assert due(recognition) == 1.0

    asked.answers[SECOND] = True
    asked.now += 1
    assert await recognition.look({KEY: (FIRST, SECOND)})
    assert (recognition.milvus, due(recognition)) == (frozenset({KEY}), None)
    assert await asked.after(100, recognition, {KEY: (FIRST, SECOND)}) == []

    assert await asked.after(0, recognition, {KEY: (FIRST,)}) == [FIRST]
    assert (recognition.milvus, due(recognition)) == (frozenset({KEY}), 1.0)
    asked.answers[FIRST] = False
    assert await asked.after(1, recognition, {KEY: (FIRST,)}) == [FIRST]
    assert (recognition.milvus, due(recognition)) == (frozenset(), None)


@pytest.mark.anyio
async def test_an_endpoint_that_comes_back_ends_the_wait() -> None:
    """When the endpoint that answered is there again, nothing is due."""
    asked = Asked()
    asked.answers[FIRST] = True
    recognition = Recognition(asked, asked.clock)
    assert await asked.after(0, recognition, {KEY: (FIRST,)}) == [FIRST]
    assert await asked.after(0, recognition, {KEY: (SECOND,)}) == [SECOND]
    assert await asked.after(0, recognition, {KEY: (FIRST,)}) == []
    assert due(recognition) is None


@pytest.mark.anyio
async def test_a_silent_pool_costs_little() -> None:
    """The pause of a pool that does not answer doubles up to a minute, whatever changes elsewhere."""
    asked = Asked()
    recognition = Recognition(asked, asked.clock)
    times = [
        second
        for second in range(400)
        if FIRST
        in await asked.after(
            1, recognition, {KEY: (FIRST,), OTHER: (Address(f"10.1.{second // 250}.{second % 250}", 9091),)}
        )
    ]
    assert times == [0, 1, 3, 7, 15, 31, 63, 123, 183, 243, 303, 363]


@pytest.mark.anyio
async def test_a_new_endpoint_of_a_silent_pool_is_asked_at_once() -> None:
    """An endpoint that was added is asked alone, and the pause of the others stays as it is."""
    asked = Asked()
    recognition = Recognition(asked, asked.clock)
    assert await asked.after(0, recognition, {KEY: (FIRST, SECOND)}) == [FIRST, SECOND]
    assert await asked.after(0.5, recognition, {KEY: (FIRST, SECOND, THIRD)}) == [THIRD]
    assert await asked.after(0, recognition, {KEY: (FIRST, SECOND, THIRD)}) == []
    assert due(recognition) == 0.5
    asked.answers[THIRD] = True
    assert await asked.after(0.5, recognition, {KEY: (FIRST, SECOND, THIRD)}) == [FIRST, SECOND, THIRD]
    assert recognition.milvus == frozenset({KEY})


@pytest.mark.anyio
async def test_a_late_pool_is_asked_at_the_next_look() -> None:
    """A pool that did not answer in time is due at once."""

    async def slow(_client: httpx2.AsyncClient, _address: Address) -> bool:
        await asyncio.sleep(60)
        return True

    recognition = Recognition(slow, lambda: 0.0)
    assert not await recognition.look({KEY: (FIRST,)}, within=0.01)
    assert due(recognition) == 0.0


@pytest.mark.anyio
async def test_a_pool_that_is_gone_is_forgotten() -> None:
    """The state of each pool is separate and ends with the pool."""
    asked = Asked()
    asked.answers = {FIRST: True, SECOND: False}
    recognition = Recognition(asked)
    assert await recognition.look({KEY: (FIRST,), OTHER: (SECOND,)})
    assert recognition.milvus == frozenset({KEY})
    assert await recognition.look({OTHER: (SECOND,)})
    assert recognition.milvus == frozenset()


def test_only_milvus_s_own_check_is_asked() -> None:
    """With another check in the BackendConfig no endpoint is asked, else the address that Envoy checks."""
    endpoints = (Endpoint("10.0.0.1", 19530), Endpoint("10.0.0.2", 19530, health_port=9))
    own = HealthCheck(port=9091, request_path="/healthz")
    assert health_addresses(pool(health_check=own), endpoints) == (FIRST, Address("10.0.0.2", 9))
    for check in (None, HealthCheck(), HealthCheck(type=HealthCheckType.HTTPS, request_path="/healthz")):
        assert health_addresses(pool(health_check=check), endpoints) == ()


@pytest.mark.anyio
async def test_few_silent_pools_are_asked_at_once() -> None:
    """Of a thousand silent pools a few are asked in one look, and each has its turn; new pools do not wait for them."""
    asked = Asked()
    recognition = Recognition(asked, asked.clock)
    silent = {PoolKey("default", str(n), 1): (Address(f"10.1.{n // 250}.{n % 250}", 9091),) for n in range(1000)}
    assert len(await asked.after(0, recognition, silent)) == 1000

    found = [set(await asked.after(1, recognition, silent)) for _ in range(62)]
    assert {len(each) for each in found} == {16}
    assert len(set().union(*found)) == 62 * 16
    assert FIRST in await asked.after(1, recognition, {**silent, KEY: (FIRST,)})
