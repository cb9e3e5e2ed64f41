"""Notices a child that runs and does nothing: stopped, or caught in an endless loop."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

ROUND_SECONDS = 5.0
HUNG_SECONDS = 30.0
START_SECONDS = 120.0
# Before the first answer it is asked more often, so that one who hangs soon after has answered.
_EARLY = 0.02


@dataclass(frozen=True, slots=True)
class Pulse:
    """
    How a child shows that it lives.

    Attributes:
        ask: returns when it has answered; raises OSError or ValueError when it does not.
        round_seconds: it is asked so often, and has so long to answer.
        hung_seconds: a child that does not answer for so long hangs.
        start_seconds: the same before its first answer: a first configuration may be large.
    """

    ask: Callable[[], Awaitable[None]]
    round_seconds: float = ROUND_SECONDS
    hung_seconds: float = HUNG_SECONDS
    start_seconds: float = START_SECONDS


async def until_hung(pulse: Pulse, on_change: Callable[[float], None]) -> float:
    """
    Return when the child hangs, for how many seconds it has not answered.

    ``on_change`` is told, once the child has answered, for how many seconds it does not, each round; 0 when it does again.
    A round counts for no more than its length: a machine that slept, or a supervisor that was stopped itself, makes no
    child hang.
    """
    loop = asyncio.get_running_loop()
    answered, silent = False, 0.0
    while silent < (pulse.hung_seconds if answered else pulse.start_seconds):
        length = pulse.round_seconds if answered else _EARLY * pulse.round_seconds
        began = loop.time()
        if await _answers(pulse):
            if silent and answered:
                on_change(0.0)
            answered, silent = True, 0.0
        else:
            silent += max(length, min(loop.time() - began, pulse.round_seconds))
            if answered:
                on_change(silent)
        await asyncio.sleep(began + length - loop.time())
    return silent


async def _answers(pulse: Pulse) -> bool:
    try:
        async with asyncio.timeout(pulse.round_seconds):
            await pulse.ask()
    except (OSError, ValueError):  # TimeoutError is an OSError
        return False
    return True
