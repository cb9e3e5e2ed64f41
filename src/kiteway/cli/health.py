"""While `kiteway up` runs, prints when an endpoint begins to fail its check or all its calls, and when that ends."""

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
    for what, text, fails in _endpoints(pools, fail_open=fail_open):
        if fails:
            now.add(what)
        if fails != (what in failing):
            say(text)
    return now


def _endpoints(pools: _Pools, *, fail_open: bool) -> Iterator[tuple[str, str, bool]]:
    """Yield what can fail, a sentence on how it is now, and whether it fails."""
    for pool in pools:
        last = all(endpoint.check_fails for endpoint in pool)
        for endpoint in pool:
            yield (
                f"check of {endpoint.address}",
                _of_check(endpoint, last=last, fail_open=fail_open),
                endpoint.check_fails,
            )
            yield f"calls to {endpoint.address}", _of_calls(endpoint), bool(endpoint.calls_fail)


def _of_check(endpoint: CheckedEndpoint, *, last: bool, fail_open: bool) -> str:
    if not endpoint.check_fails:
        return f"{endpoint.address} passes its health check again"
    why = f": {endpoint.why}" if endpoint.why else ""
    failed = f"{endpoint.address} fails its health check ({endpoint.check}){why}"
    if last and fail_open:
        return f"{failed}; no endpoint passes, so all get calls"
    return f"{failed}; {'no endpoint passes, so calls fail' if last else 'it gets no calls until it passes'}"


def _of_calls(endpoint: CheckedEndpoint) -> str:
    if not endpoint.calls_fail:
        return f"{endpoint.address} can serve calls again"
    return f"{endpoint.address} passes its health check, but every call to it fails: {endpoint.calls_fail}"
