"""Detects a child that runs but does not answer: a stopped process, or an endless loop."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

ROUND_SECONDS = 5.0
HUNG_SECONDS = 30.0
START_SECONDS = 120.0
_EARLY = 0.02
"""Before the first answer a round lasts this part of its length, so that a child that hangs soon afterwards is noticed."""


@dataclass(frozen=True, slots=True)
class Pulse:
    """
    The check that a child answers.

    Attributes:
        ask: returns when the child has answered; raises OSError or ValueError when it does not answer.
        round_seconds: seconds between two checks, and the timeout of one.
        hung_seconds: seconds without an answer after which the child hangs.
        start_seconds: the same before its first answer, as a first configuration can be large.
    """

    ask: Callable[[], Awaitable[None]]
    round_seconds: float = ROUND_SECONDS
    hung_seconds: float = HUNG_SECONDS
    start_seconds: float = START_SECONDS


async def until_hung(pulse: Pulse, on_change: Callable[[float], None]) -> float:
    """
    Return when the child hangs; the value is the seconds without an answer.

    After the first answer ``on_change`` is called in each round without one, with the seconds since the last, and with 0
    when the child answers again. A round counts for no more than its length: a child does not hang because the machine
    slept or the supervisor was stopped.
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
