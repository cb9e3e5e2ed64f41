"""Faults of the proxies under load; `make chaos` makes the same on a Milvus 2.3.5."""

from __future__ import annotations

import asyncio

import pytest

from kiteway.filter import filter_path, missing_reason
from tests.chaos.faults import FAULTS
from tests.chaos.report import write
from tests.chaos.run import Result, chaos, run

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.lite,
    pytest.mark.timeout(300),
    pytest.mark.skipif(filter_path() is None, reason=missing_reason()),
]

CHOSEN = (
    "kill -9 of a proxy",
    "SIGTERM of a proxy",
    "kill -9 and immediate restart",
    "rolling restart of all proxies",
)


def test_no_read_fails_and_no_acknowledged_row_is_lost() -> None:
    """Behind Kiteway this holds without retries in the client; every proxy gets a share of the calls."""
    faults = [fault for fault in FAULTS if fault.name in CHOSEN]
    assert len(faults) == len(CHOSEN)

    async def work() -> list[Result]:
        async with chaos(contrast=False, lite=True) as system:
            return await run(system, faults)

    results = asyncio.run(work())
    write(results, "lite")

    assert [(r.fault.name, r.broken, dict(r.load.reads.failures)) for r in results if r.broken] == []
    assert all(calls > 0 for calls in results[-1].spread.values())
