"""Waits for an event with a limit."""

from __future__ import annotations

import asyncio
import contextlib


async def wait_at_most(event: asyncio.Event, seconds: float | None) -> None:
    """
    Wait until the event is set, but for ``seconds`` at most; None is no limit.

    `asyncio.wait_for` of Python 3.11 loses a cancellation that comes at the moment of the event.
    """
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
