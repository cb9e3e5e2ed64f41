"""While `kiteway up` runs, prints when an endpoint begins to fail its check and when it passes again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence

from kiteway.instance import Instance
from kiteway.report.pools import CheckedEndpoint
from kiteway.status.client import OtherVersionError, read_health

_LOOK_SECONDS = 2.0
"""Seconds between two requests. The control plane asks Envoy every 5 s anyway, and these requests cost Envoy nothing."""

_Pools = Sequence[Sequence[CheckedEndpoint]]


async def tell_health(instance: Instance, say: Callable[[str], None], *, fail_open: bool) -> None:
    """
    Ask for the endpoints every two seconds until cancelled, or until the instance has another version of Kiteway.

    ``fail_open``: all endpoints get calls while none passes its check.
    """
    failing: set[str] = set()
    while True:
        try:
            failing = _tell(await asyncio.to_thread(read_health, instance), failing, say, fail_open=fail_open)
        except OtherVersionError as error:
            say(str(error))
            return
        await asyncio.sleep(_LOOK_SECONDS)


def _tell(pools: _Pools | None, failing: set[str], say: Callable[[str], None], *, fail_open: bool) -> set[str]:
    if pools is None:
        return failing
    now: set[str] = set()
    for address, text, fails in _endpoints(pools, fail_open=fail_open):
        if fails:
            now.add(address)
        if fails != (address in failing):
            say(text)
    return now


def _endpoints(pools: _Pools, *, fail_open: bool) -> Iterator[tuple[str, str, bool]]:
    for pool in pools:
        last = all(endpoint.check_fails for endpoint in pool)
        for endpoint in pool:
            address, fails = endpoint.address, endpoint.check_fails
            failed = f"{address} fails its health check ({endpoint.check}){f': {endpoint.why}' if endpoint.why else ''}"
            if not fails:
                text = f"{address} passes its health check again"
            elif last and fail_open:
                text = f"{failed}; no endpoint passes, so all get calls"
            elif last:
                text = f"{failed}; no endpoint passes, so calls fail"
            else:
                text = f"{failed}; it gets no calls until it passes"
            yield address, text, fails
