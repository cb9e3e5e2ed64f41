"""The time just before a change: the reads of what it is about begin then, and some are still under way after it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from tests.support.relay import Relay

LEAD_SECONDS = 0.3
"""How long before a change its reads begin."""

_LATE_SECONDS = 2.5
"""More than a change takes, and the second for which the cache is closed after it; less than a read waits for another one."""


class Lead:
    """
    What happens to the answers that come in this time.

    Attributes:
        late: a proxy's answers are overtaken: they arrive long after the change is complete.
    """

    def __init__(self, relay: Relay) -> None:
        """Have answers pass as they come; `relay` is before the proxy whose answers may be late."""
        self._relay = relay
        self.late = False

    @contextlib.contextmanager
    def passing(self) -> Iterator[None]:
        """Begin and end the time before one change."""
        if not self.late:
            yield
            return
        self._relay.set_delay(_LATE_SECONDS)
        try:
            yield
        finally:
            # What has come until now is held back all the same.
            self._relay.set_delay(0)
