"""The clients that read: the same questions again and again, one by one and many at once."""

from __future__ import annotations

import itertools
import random
from collections import deque
from dataclasses import dataclass
from typing import Any

from tests.consistency.catalogue import (
    ALIAS,
    ALICE,
    BOB,
    CAROL,
    CYCLING,
    MOVING,
    OTHER,
    PLAIN,
    RING,
    ROOT,
    WRITTEN,
    Place,
)
from tests.consistency.client import CALL_SECONDS, Arm, Caller, Ledger
from tests.consistency.records import Level, Question, Read, now
from tests.consistency.requests import read_request, rows_of, set_level

_QUICK = (Level.BOUNDED, Level.EVENTUALLY, Level.DEFAULT, Level.DEFAULT)
_WAITING = (Level.STRONG, Level.SESSION, Level.CUSTOMIZED, Level.DEFAULT)
_TIMED = frozenset({Level.SESSION, Level.CUSTOMIZED})
_GUARANTEED_SHARE = 0.3
"""The share of reads at the default level that carry the newest write, as PyMilvus does for its own writes."""

_BURST = 8
_BURST_PAUSE = 0.6
_BURST_QUESTIONS = 12
"""Questions of bursts: the answer to one is too old when its turn comes again."""

_CHASE_PAUSE = 0.03
_CHASE_SECONDS = 4.5
"""For how long after a change the reads of what was changed go on."""

_CHASE_PENDING = 200
_HITS_PAUSE = 0.015
_HITS_QUESTIONS = 8
"""Questions whose hits are shown to the end of their time: each of them is asked more often than a label can be wrong."""

_IMPATIENT_SECONDS = 0.05
_IMPATIENT_SHARE = 0.3


@dataclass(frozen=True)
class _Asking:
    """Who asks what how often; with `blocks` the collection is written to all the time."""

    weight: int
    place: Place
    user: str = ROOT
    methods: tuple[str, ...] = ("Search", "Query")
    blocks: bool = True


@dataclass(frozen=True)
class _Ask:
    """A read that is to be sent."""

    asking: _Asking
    method: str
    expression: str
    level: Level
    block: int


@dataclass(frozen=True)
class _Sent:
    """A read that was sent."""

    ask: _Ask
    question: Question
    pending: Any
    guarantee: int
    at: float


_B = Place("B", "default", "plain")
_ASKING = {
    "A": (
        _Asking(8, PLAIN),
        _Asking(1, Place("A", "default", "strict")),
        _Asking(3, Place("A", OTHER, "plain")),
        _Asking(3, MOVING["A"]),
        _Asking(2, Place("A", "default", CYCLING), blocks=False),
        *(_Asking(1, Place("A", *at), blocks=False) for at in RING),
        _Asking(2, PLAIN, ALICE),
        _Asking(2, PLAIN, BOB, ("Query",)),
        _Asking(2, PLAIN, CAROL),
    ),
    "B": (
        _Asking(8, _B),
        _Asking(1, Place("B", "default", "strict")),
        _Asking(4, MOVING["B"]),
        _Asking(2, _B, ALICE),
        _Asking(2, _B, BOB, ("Query",)),
    ),
}


class Readers:
    """Reads of one arm in one pool; each method is the work of a thread."""

    def __init__(self, ledger: Ledger, arm: Arm, pool: str) -> None:
        """Describe them."""
        self._ledger = ledger
        self._arm = arm
        self._pool = pool
        self._changing = {change.name for change in ledger.recorded.changes}
        self._chasers = itertools.count()

    def quick(self, caller: Caller) -> None:
        """Read at the levels that rarely wait."""
        self._one_by_one(caller, _QUICK)

    def waiting(self, caller: Caller) -> None:
        """Read at the levels that wait for writes."""
        self._one_by_one(caller, _WAITING)

    def bursts(self, caller: Caller) -> None:
        """Send the same read several times at once; the first one's client may give up very soon."""
        rng = random.Random(1)
        number = 0
        while not self._ledger.stop.wait(_BURST_PAUSE):
            number += 1
            asking = rng.choice([each for each in _ASKING[self._pool] if each.blocks])
            block = self._newest(asking.place, rng)
            expression = f"block == {block} and id > -{1 + number % _BURST_QUESTIONS}"
            ask = _Ask(asking, rng.choice(asking.methods), expression, rng.choice((*_QUICK, Level.SESSION)), block)
            first = _IMPATIENT_SECONDS if rng.random() < _IMPATIENT_SHARE else CALL_SECONDS
            started = [self._start(caller, ask, first), *(self._start(caller, ask) for _ in range(_BURST - 1))]
            for each in started:
                self._finish(caller, each)

    def chase(self, caller: Caller) -> None:
        """
        Send a read all the time, without waiting for answers.

        From a little before a change until some seconds after it, it is one that the change is about, and that nobody else
        has asked: if answers are late, the first one is under way when the change is made, and still when the cache opens
        again. Otherwise it is one of a few in turn, whose hits show each answer until the end of its time; only then the
        question is about newer rows.
        """
        pending: deque[tuple[_Sent, int | None]] = deque()
        pause, own = _CHASE_PAUSE, next(self._chasers)
        blocks: dict[int, int] = {}
        for number in itertools.count():
            if self._ledger.stop.wait(pause):
                break
            at, user, name = self._ledger.changed
            question = None
            if now() - at < _CHASE_SECONDS and self._pool == PLAIN.pool:
                pause, variant = _CHASE_PAUSE, int(at * 10) * 10 + own
                place, level = Place(*name.split("/")), Level.EVENTUALLY
                has_blocks = place.name in {PLAIN.name, ALIAS}
                block = self._newest_plain() if has_blocks else 0
            else:
                pause, question = _HITS_PAUSE, number % _HITS_QUESTIONS
                variant = 1 + question
                user, place, level, has_blocks = ROOT, Place(self._pool, "default", PLAIN.name), Level.BOUNDED, True
                block = blocks.setdefault(question, self._newest_plain())
            ask = _Ask(
                _Asking(1, place, user, blocks=has_blocks),
                "Query",
                f"block == {block} and id > -{variant}",
                level,
                block,
            )
            pending.append((self._start(caller, ask), question))
            while pending and (pending[0][0].pending.done() or len(pending) > _CHASE_PENDING):
                sent, shown = pending.popleft()
                if self._finish(caller, sent) != "hit" and shown is not None:
                    blocks.pop(shown, None)
        for sent, _ in pending:
            self._finish(caller, sent)

    def _newest_plain(self) -> int:
        return self._ledger.newest[Place(self._pool, "default", PLAIN.name)]

    def _one_by_one(self, caller: Caller, levels: tuple[Level, ...]) -> None:
        rng = random.Random()
        asking = _ASKING[self._pool]
        weights = [each.weight for each in asking]
        while not self._ledger.stop.wait(self._arm.pause):
            (each,) = rng.choices(asking, weights)
            newest = self._newest(each.place, rng)
            block = rng.choice((newest, newest, max(0, newest - 1), self._ledger.first)) if each.blocks else 0
            ask = _Ask(each, rng.choice(each.methods), f"block == {block}", rng.choice(levels), block)
            self._finish(caller, self._start(caller, ask))

    def _newest(self, place: Place, rng: random.Random) -> int:
        return self._ledger.newest[self._written(place, rng)]

    def _written(self, place: Place, rng: random.Random) -> Place:
        """Return the collection whose rows to ask for: by an alias that moves it may be either."""
        if place in WRITTEN:
            return place
        return rng.choice([each for each in WRITTEN if each.pool == place.pool and each.database == "default"])

    def _start(self, caller: Caller, ask: _Ask, seconds: float = CALL_SECONDS) -> _Sent:
        asking, place = ask.asking, ask.asking.place
        timed = ask.level in _TIMED or (ask.level is Level.DEFAULT and random.random() < _GUARANTEED_SHARE)
        guarantee = self._ledger.timestamp[self._written(place, random.Random())] if timed and asking.blocks else 0
        request = read_request(ask.method, place.database, place.name, ask.expression)
        set_level(request, ask.level, guarantee)
        question = Question(self._arm.name, asking.user, str(place), ask.method, ask.expression)
        at = now()
        return _Sent(ask, question, caller.start(ask.method, request, asking.user, seconds), guarantee, at)

    def _finish(self, caller: Caller, sent: _Sent) -> str:
        """Record what became of a read, and return the word of ``kiteway-cache``."""
        reply = caller.reply(sent.pending)
        question, ask = sent.question, sent.ask
        if reply.answer is None:
            changing = question.name in self._changing or question.user != ROOT
            self._ledger.count(self._arm.name, reply, may_be_refused=changing)
            if reply.lost:
                self._ledger.lose(question, sent.at)
            return ""
        received = now()
        if reply.reason:
            self._ledger.bypassed(reply.reason)
        keys = rows_of(question.method, reply.answer)
        self._ledger.recorded.reads.append(
            Read(question, ask.block, ask.level, sent.guarantee, sent.at, received, keys, reply.outcome, reply.age)
        )
        return reply.outcome
