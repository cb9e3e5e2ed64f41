"""The most likely faults, on a real cluster with three proxies; make chaos runs all of them."""

from __future__ import annotations

import asyncio

import pytest

from tests.chaos.faults import FAULTS
from tests.chaos.run import Result, chaos, run
from tests.support.extras import needs_cluster

CHOSEN = (
    "kill -9 and immediate restart",
    "SIGSTOP short of the check (3 s)",
    "rolling restart of all proxies",
    "serving port refused, /healthz good",
)


pytestmark = [
    pytest.mark.e2e,
    pytest.mark.milvus,
    pytest.mark.timeout(300),
    needs_cluster,
]


def test_no_read_fails_and_no_write_is_done_twice() -> None:
    """Behind Kiteway this holds without retries in the client; every endpoint gets a share of one client's calls."""
    faults = [fault for fault in FAULTS if fault.name in CHOSEN]
    assert len(faults) == len(CHOSEN)

    async def work() -> list[Result]:
        async with chaos(contrast=False) as system:
            return await run(system, faults)

    results = asyncio.run(work())

    assert [(r.fault.name, r.broken, dict(r.load.reads.failures)) for r in results if r.broken] == []
    assert all(calls > 0 for calls in results[-1].spread.values())
