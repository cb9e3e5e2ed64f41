"""Clients whose questions seldom repeat, in a real Envoy: their reads are sent unchanged, and equal ones at once are still shared."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from kiteway import filter as kiteway_filter
from tests.e2e.admission import until
from tests.e2e.cached import EVENTUALLY, Client, Milvus, arrived, behind, cache, outcome, question, warm

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(kiteway_filter.filter_path() is None, reason=kiteway_filter.missing_reason()),
]

_CLIENTS = 40
_PATIENT = cache(max_wait_ms=60_000)
"""Followers wait however busy the machine is."""


@pytest.mark.parametrize(("new", "most"), [(0, 1), (200, 2), (800, 3)], ids=["repeats", "seldom", "never held"])
def test_equal_reads_at_once_are_few_searches_whatever_came_before(tmp_path: Path, new: int, most: int) -> None:
    """One, two where questions seldom repeat, and three after hundreds in succession that did not."""
    with Milvus() as milvus, behind(milvus, tmp_path, _PATIENT) as envoy:
        clients = [Client(envoy) for _ in range(_CLIENTS)]
        for client in clients:
            client.call("GetVersion")
        warm(clients[0])
        did = Counter(clients[0].search(question(vectors=b"%d" % number))[1] for number in range(new))
        assert (did[""] > new / 4) == (new > 0), did
        milvus.open.clear()
        before = milvus.calls["Search"]
        # At this level a read does not wait for timestamps, and Milvus answers none of them before all have come.
        calls = [client.start(question(vectors=b"burst", consistency_level=EVENTUALLY)) for client in clients]
        until(lambda: milvus.calls["Search"] > before)
        arrived(clients)

        milvus.open.set()

        did = Counter(outcome(call)[1] for call in calls)
        assert milvus.calls["Search"] - before <= most, did
        assert did["joined"] >= _CLIENTS - most, did
        for client in clients:
            client.__exit__()
