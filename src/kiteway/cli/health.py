"""While `kiteway up --to` runs, prints when an endpoint begins to fail its check and when it passes again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

from kiteway.instance import Instance
from kiteway.report.status import Status
from kiteway.status.client import OtherVersionError, read_status

_LOOK_SECONDS = 5.0
"""Seconds between two requests, the interval of the checks themselves; a request costs about 10 ms of CPU."""


async def tell_health(instance: Instance, say: Callable[[str], None]) -> None:
    """Ask for the status every five seconds until cancelled, or until the instance has another version of Kiteway."""
    failing: set[str] = set()
    while True:
        try:
            failing = _tell(await asyncio.to_thread(read_status, instance), failing, say)
        except OtherVersionError as error:
            say(str(error))
            return
        await asyncio.sleep(_LOOK_SECONDS)


def _tell(status: Status, failing: set[str], say: Callable[[str], None]) -> set[str]:
    if not status.answered:
        return failing
    now: set[str] = set()
    for address, text, fails in _endpoints(status):
        if fails:
            now.add(address)
        if fails != (address in failing):
            say(text)
    return now


def _endpoints(status: Status) -> Iterator[tuple[str, str, bool]]:
    for pool in status.pools:
        last = all(endpoint.check_fails for endpoint in pool.endpoints)
        for endpoint in pool.endpoints:
            address, fails = endpoint.address, endpoint.check_fails
            failed = f"{address} fails its health check ({endpoint.check}){f': {endpoint.why}' if endpoint.why else ''}"
            if not fails:
                text = f"{address} passes its health check again"
            elif last:
                text = f"{failed}; no endpoint passes, so all get calls"
            else:
                text = f"{failed}; it gets no calls until it passes"
            yield address, text, fails
