"""All clients of a run, each a thread."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tests.consistency.catalogue import POOLS
from tests.consistency.changes import Changes, Writers
from tests.consistency.client import Arm, Caller, Ledger
from tests.consistency.lead import Lead
from tests.consistency.readers import Readers


class Crowd:
    """The clients of one run."""

    def __init__(
        self,
        number: int,
        arms: tuple[Arm, ...],
        *,
        here: Arm,
        elsewhere: Arm,
        connect: Callable[[], Any],
        lead: Lead,
        changes: bool,
    ) -> None:
        """
        Describe them; nothing happens before `running`.

        Args:
            number: that of the run.
            arms: all balancers.
            here: the one through which structural changes go.
            elsewhere: the one through which go those that `here` does not see.
            connect: makes a client of PyMilvus for the pool `A`, through `here`.
            lead: passes before each change of the pool `A`.
            changes: whether anything changes; each change empties the cache of its pool.
        """
        self.ledger = Ledger(number)
        self._arms = arms
        self._changes = changes
        self._here = here
        self._elsewhere = elsewhere
        self._connect = connect
        self._lead = lead
        self._callers: list[Caller] = []
        self._threads: list[threading.Thread] = []

    @contextmanager
    def running(self) -> Iterator[None]:
        """Run the clients."""
        for arm in self._arms:
            for pool in arm.connect:
                self._add_readers(arm, pool)
                if arm.write_pause is not None:
                    self._add(Writers(self.ledger, pool).write, self._caller(arm, pool))
        if self._changes:
            changes = Changes(self.ledger, self._lead)
            self._add(changes.of_second, self._caller(self._elsewhere, POOLS[1]))
            self._add(changes.of_first, self._caller(self._here, "A"), self._caller(self._elsewhere, "A"))
            self._add(changes.cycle, self._caller(self._here, "A"), self._connect)
        for thread in self._threads:
            thread.start()
        try:
            yield
        finally:
            self.ledger.stop.set()
            for thread in self._threads:
                thread.join()
            for caller in self._callers:
                caller.close()
            self.ledger.recorded.failed = dict(self.ledger.failed)
            self.ledger.recorded.refused = dict(self.ledger.refused)
            self.ledger.recorded.reasons = dict(self.ledger.reasons)

    def alive(self) -> bool:
        """Tell whether every client still works; one that raised an error does not."""
        return all(thread.is_alive() for thread in self._threads)

    def _add_readers(self, arm: Arm, pool: str) -> None:
        readers = Readers(self.ledger, arm, pool)
        for work in (
            [readers.quick] * arm.readers
            + [readers.waiting] * arm.waiting
            + [readers.bursts] * arm.bursts
            + [readers.chase] * arm.chasers
        ):
            self._add(work, self._caller(arm, pool))

    def _add(self, work: Callable[..., None], *arguments: Any) -> None:
        self._threads.append(threading.Thread(target=work, args=arguments, name=work.__qualname__))

    def _caller(self, arm: Arm, pool: str) -> Caller:
        caller = Caller(arm, pool)
        self._callers.append(caller)
        return caller
