"""The calls of one run's clients: who sends them where, and what is recorded of them."""

from __future__ import annotations

import itertools
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import grpc

from tests.consistency.catalogue import PASSWORDS, ROOT, WRITTEN, Place, beginnings, levels
from tests.consistency.records import Lost, Question, Recorded, now
from tests.consistency.requests import credentials
from tests.support.reads import service

CALL_SECONDS = 30.0
BLOCK = 100
"""Rows of a block: what a read asks for."""

_KEYS = 1_000_000_000
"""Primary keys of one collection."""

_OF_RUN = 1_000_000
"""Those of one run."""

LATE = "late"
"""The outcome of a read with `miss; late`: the answer is to the client's own question, as without a cache."""
_REFUSED = {grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.UNAUTHENTICATED}
_CREDENTIALS = {user: credentials(user, password) for user, password in PASSWORDS.items()}


@dataclass(frozen=True)
class Arm:
    """
    A balancer under test, or beside it.

    Attributes:
        connect: makes a connection, by pool.
        readers: threads that read quickly, in each pool.
        pause: seconds between two reads of a thread.
        waiting: threads that read at the levels that wait for writes.
        bursts: equal reads are sent at once.
        chasers: threads that send reads without waiting for answers.
        write_pause: seconds between two rows that are written through it; None: it writes none.
        has_headers: each of its answers has headers, as those of Envoy have.
    """

    name: str
    connect: Mapping[str, Callable[[], grpc.Channel]]
    readers: int = 1
    pause: float = 0.05
    waiting: int = 1
    bursts: bool = False
    chasers: int = 0
    write_pause: float | None = None
    has_headers: bool = False


@dataclass(frozen=True)
class Reply:
    """
    An answer, with the word and the age in its header ``kiteway-cache``.

    Attributes:
        answer: None: there is no good one.
        reason: why the cache had nothing to do with it.
        lost: the call was not refused, so it may have been answered without the client having noticed.
    """

    answer: Any = None
    outcome: str = ""
    age: float | None = None
    reason: str = ""
    lost: bool = False


class Ledger:
    """
    What all clients of a run share: the records, the newest rows, and the keys not used yet.

    Attributes:
        stop: set at the end of the run.
        first: the first block of the run: questions about it are the same in every collection.
        newest: the block of the newest row, by collection.
        timestamp: the newest timestamp of an acknowledged write, by collection.
        changed: when a change was last announced, a moment before it is sent, and whose reads of which name it is about.
    """

    def __init__(self, number: int) -> None:
        """Begin the run with this number; none has rows of another."""
        first = number * _OF_RUN
        self.recorded = Recorded(levels(), changes=beginnings())
        self.stop = threading.Event()
        self.first = first // BLOCK
        self.newest: dict[Place, int] = dict.fromkeys(WRITTEN, self.first)
        self.timestamp: dict[Place, int] = dict.fromkeys(WRITTEN, 0)
        self.failed: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.reasons: Counter[str] = Counter()
        self.changed = (0.0, ROOT, "")
        self._numbers = {place: itertools.count(first) for place in WRITTEN}
        self._spare = itertools.count(len(WRITTEN) * _KEYS + first)
        self._lock = threading.Lock()

    def next_row(self, place: Place) -> tuple[int, int]:
        """Return block and key of the next row of a collection that is written to all the time."""
        with self._lock:
            number = next(self._numbers[place])
            self.newest[place] = number // BLOCK
        return number // BLOCK, list(WRITTEN).index(place) * _KEYS + number

    def spare_keys(self, count: int) -> list[int]:
        """Return keys for a collection that is made during the run."""
        with self._lock:
            return list(itertools.islice(self._spare, count))

    def acknowledged(self, place: Place, timestamp: int) -> None:
        """Note the newest timestamp of a collection's writes."""
        with self._lock:
            self.timestamp[place] = max(self.timestamp[place], timestamp)

    def count(self, arm: str, reply: Reply, *, may_be_refused: bool = False) -> None:
        """Count a call without a good answer."""
        with self._lock:
            refused = may_be_refused and not reply.lost
            (self.refused if refused else self.failed)[arm] += 1

    def bypassed(self, reason: str) -> None:
        """Count a read that the cache had nothing to do with."""
        with self._lock:
            self.reasons[reason] += 1

    def lose(self, question: Question, sent: float) -> None:
        """Record a read whose client does not know its answer."""
        self.recorded.lost.append(Lost(question, sent, now()))


class Caller:
    """One connection of an arm to one pool."""

    def __init__(self, arm: Arm, pool: str) -> None:
        """Connect."""
        self.arm = arm
        self.pool = pool
        self._channel = arm.connect[pool]()
        self._stub = service(self._channel)

    def close(self) -> None:
        """Disconnect; calls in flight end."""
        self._channel.close()

    def call(self, method: str, request: Any, user: str = ROOT, seconds: float = CALL_SECONDS) -> Reply:
        """Send a request and wait for the answer."""
        return self.reply(self.start(method, request, user, seconds))

    def start(self, method: str, request: Any, user: str = ROOT, seconds: float = CALL_SECONDS) -> Any:
        """Send a request; `reply` waits for the answer."""
        return getattr(self._stub, method).future(request, timeout=seconds, metadata=[_CREDENTIALS[user]])

    def reply(self, pending: Any) -> Reply:
        """Return what became of a call."""
        try:
            answer = pending.result()
        except (grpc.RpcError, grpc.FutureCancelledError):
            return Reply(lost=pending.code() not in _REFUSED)
        status = getattr(answer, "status", answer)
        if status.code or status.error_code:
            return Reply()
        headers = dict(pending.initial_metadata() or ())
        if self.arm.has_headers and not headers:
            # At its deadline gRPC can hand over an answer without its headers, so it is not known where this one came from.
            return Reply(lost=True)
        words = str(headers.get("kiteway-cache", ""))
        outcome, _, details = words.partition(";")
        if details.strip() == LATE:
            outcome = LATE
        name, _, value = details.strip().partition("=")
        age = float(value) if name == "age" else None
        return Reply(answer, outcome.strip(), age, value if name == "reason" else "")
