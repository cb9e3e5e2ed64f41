"""How long a dead child waits for its next start."""

from __future__ import annotations

from dataclasses import dataclass

FIRST_SECONDS = 0.1
LIMIT_SECONDS = 10.0
RESET_AFTER_SECONDS = 30.0


@dataclass
class Backoff:
    """0.1 s, doubling to 10 s; from the beginning again after a run of 30 s."""

    _next: float = FIRST_SECONDS

    def delay(self, ran_seconds: float) -> float:
        """Return the seconds to wait before the next start of a child that ran ``ran_seconds``."""
        if ran_seconds >= RESET_AFTER_SECONDS:
            self._next = FIRST_SECONDS
        delay = self._next
        self._next = min(2 * delay, LIMIT_SECONDS)
        return delay
