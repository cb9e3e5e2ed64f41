"""Which pools count as Milvus, by the answer on their health port."""

from __future__ import annotations

import httpx2
import pytest

from kiteway.controlplane.recognition import Recognition, answers_as_milvus
from kiteway.model import Endpoint, HealthCheck, HealthCheckType, PoolKey
from kiteway.pipeline.health_addresses import Address, health_addresses
from tests.e2e.traffic import pool
from tests.support.health import MILVUS, answering

KEY, OTHER = PoolKey("default", "milvus", 19530), PoolKey("default", "other", 19530)
FIRST, SECOND = Address("10.0.0.1", 9091), Address("10.0.0.2", 9091)


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


class Asked:
    """Answers by address, and who was asked."""

    def __init__(self) -> None:
        self.answers: dict[Address, bool] = {}
        self.asked: list[Address] = []

    async def __call__(self, _client: httpx2.AsyncClient, address: Address) -> bool | None:
        """Answer as told."""
        self.asked.append(address)
        return self.answers.get(address)


@pytest.mark.anyio
async def test_one_endpoint_decides_for_its_pool() -> None:
    """One endpoint is asked once; when it is removed another is asked, and until that answers nothing changes."""
    asked = Asked()
    recognition = Recognition(asked)
    assert not await recognition.look({KEY: (FIRST, SECOND)})
    assert not recognition.complete

    asked.answers[SECOND] = True
    assert await recognition.look({KEY: (FIRST, SECOND)})
    assert (recognition.milvus, recognition.complete) == (frozenset({KEY}), True)
    asked.asked.clear()
    assert not await recognition.look({KEY: (FIRST, SECOND)})
    assert asked.asked == []

    assert not await recognition.look({KEY: (FIRST,)})
    assert (recognition.milvus, recognition.complete, asked.asked) == (frozenset({KEY}), False, [FIRST])
    asked.answers[FIRST] = False
    assert await recognition.look({KEY: (FIRST,)})
    assert (recognition.milvus, recognition.complete) == (frozenset(), True)


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
