"""A fill for which Milvus waits is sent again as its client sent it, in a real Envoy in front of a small gRPC server."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from google.protobuf.json_format import MessageToDict

from kiteway import filter as kiteway_filter
from kiteway.envoy.xds.policy import grpc_policies, retry_policy
from tests.e2e.admission import until
from tests.e2e.cached import (
    BOUNDED,
    CUSTOMIZED,
    SESSION,
    Client,
    Milvus,
    arrived,
    behind,
    hybrid,
    outcome,
    question,
    warm,
)

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(kiteway_filter.filter_path() is None, reason=kiteway_filter.missing_reason()),
]

_LAG = 5.0
"""Seconds for which Milvus waits with the answer to a fill."""
_SOON = 4.0
"""Seconds after which a read is answered all the same, on a busy machine too: before Milvus answers the fill."""


@pytest.fixture
def milvus() -> Iterator[Milvus]:
    """Run a server."""
    with Milvus() as running:
        yield running


@pytest.fixture
def clients(milvus: Milvus, tmp_path: Path) -> Iterator[list[Client]]:
    """Run an Envoy whose routes have the retries of reads, and connect 20 clients to it."""
    [reads] = [policy for policy in grpc_policies() if policy.name == "read"]
    retries = MessageToDict(retry_policy(reads), preserving_proto_field_name=True)
    with behind(milvus, tmp_path, action={"retry_policy": retries}) as envoy:
        found = [Client(envoy) for _ in range(20)]
        for client in found:
            client.call("GetVersion")
        warm(found[0])
        yield found
        for client in found:
            client.__exit__()


def test_a_read_is_as_fast_as_without_the_cache_while_milvus_waits(milvus: Milvus, clients: list[Client]) -> None:
    """Milvus gets the client's own question after a moment; its answer is not stored, and after two such reads none is a fill."""
    client = clients[0]
    milvus.lag = _LAG
    for number in range(2):
        asked, began = question(vectors=bytes([number])), time.monotonic()
        assert client.search(asked)[1] == "miss; late"
        assert time.monotonic() - began < _SOON
        assert milvus.reads[-2].consistency_level == CUSTOMIZED
        assert milvus.reads[-1].SerializeToString() == asked
    milvus.lag = 0
    assert client.search(question(vectors=bytes([1])))[1] == "bypass; reason=slow-fill"
    assert client.search(question(vectors=b"new"))[1] == "bypass; reason=slow-fill"


def test_reads_that_joined_wait_no_longer_either(milvus: Milvus, clients: list[Client]) -> None:
    """Two of them are sent as fills, one after the other, and as their clients sent them; then all others are, too."""
    milvus.lag = _LAG
    before, began = len(milvus.reads), time.monotonic()
    calls = [client.start(question()) for client in clients]
    arrived(clients)
    outcomes = [outcome(call) for call in calls]
    assert time.monotonic() - began < _SOON
    assert sorted(did for _, did in outcomes) == ["bypass; reason=slow-fill"] * 18 + ["miss; late"] * 2
    assert len({number for number, _ in outcomes}) == 20
    assert [read.consistency_level for read in milvus.reads[before:]].count(CUSTOMIZED) == 2


def test_a_fill_that_is_answered_in_time_is_sent_once(milvus: Milvus, clients: list[Client]) -> None:
    """And its answer is stored."""
    for number in range(20):
        asked, before = question(vectors=bytes([number])), milvus.calls["Search"]
        answered, did = clients[0].search(asked)
        assert (answered, did) == (before + 1, "miss")
        assert clients[1].search(asked) == (answered, "hit")


def test_a_bounded_read_does_not_wait_for_the_guarantee_of_another(milvus: Milvus, clients: list[Client]) -> None:
    """A read after a write waits for it in Milvus; equal reads at Bounded are answered meanwhile."""
    asked = question(consistency_level=BOUNDED)
    until(lambda: clients[0].search(asked)[1] == "miss")
    until(lambda: clients[0].search(asked)[1] == "miss", seconds=7)
    milvus.open.clear()
    before = milvus.calls["Search"]
    first = clients[0].start(question(consistency_level=SESSION, guarantee_timestamp=hybrid(time.time()), vectors=b"w"))
    until(lambda: milvus.calls["Search"] > before)
    bounded = clients[1].start(question(consistency_level=BOUNDED, vectors=b"w"))
    until(lambda: any(read.guarantee_timestamp < hybrid(time.time() - 0.9) for read in milvus.reads[before:]))
    milvus.open.set()
    assert {outcome(call)[1].partition(";")[0] for call in (first, bounded)} == {"miss"}
