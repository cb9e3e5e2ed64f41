"""While `kiteway up --to` runs, prints when an endpoint begins to fail its check and when it passes again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from kiteway.instance import Instance
from kiteway.status.client import read_status

# The interval of the health checks themselves: one status costs ten milliseconds of CPU time.
_LOOK_SECONDS = 5.0


async def tell_health(instance: Instance, say: Callable[[str], None]) -> None:
    """Read the status every five seconds until cancelled."""
    failing: set[str] = set()
    while True:
        failing = _tell(await asyncio.to_thread(read_status, instance), failing, say)
        await asyncio.sleep(_LOOK_SECONDS)


def _tell(status: Mapping[str, Any], failing: set[str], say: Callable[[str], None]) -> set[str]:
    if "pools" not in status:
        return failing  # no answer at this moment
    now: set[str] = set()
    for address, text, fails in _endpoints(status):
        if fails:
            now.add(address)
        if fails != (address in failing):
            say(text)
    return now


def _endpoints(status: Mapping[str, Any]) -> Iterator[tuple[str, str, bool]]:
    for pool in status["pools"]:
        last = all(endpoint["checkFails"] for endpoint in pool["endpoints"])
        for endpoint in pool["endpoints"]:
            address, check, fails = endpoint["address"], endpoint["check"], endpoint["checkFails"]
            if not fails:
                text = f"{address} passes its health check again"
            elif last:
                text = f"{address} fails its health check ({check}); no endpoint passes, so all get calls"
            else:
                text = f"{address} fails its health check ({check}), and gets no calls until it passes"
            yield address, text, fails
