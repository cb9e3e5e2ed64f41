"""
Generate the histories for the tests of the cache's pools (filter/core/src/cache/pool).

The model of tests/cache runs histories: the shortest one known for each condition, and random ones. What each replica
is told, and what it decides, is written down; a test of the filter repeats it with the filter's own pools. Without
arguments the command writes ``filter/testdata/cache_histories.json``; with ``--check`` it writes nothing and exits with
1 when the file is out of date.
"""

from __future__ import annotations

import itertools
import json
import random
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast
from unittest.mock import patch

from tests.cache import simulate
from tests.cache.cache import Entry, Flight, Forward, Replica, Request
from tests.cache.conditions import NONE, Condition, Dropped
from tests.cache.generate import history, strangers
from tests.cache.history import History, Level, Read
from tests.cache.milvus import Answer, stated
from tests.cache.witnesses import WITNESSES

ROOT = Path(__file__).resolve().parent.parent
HISTORIES = ROOT / "filter/testdata/cache_histories.json"
RANDOM = 150
"""How many random histories there are."""

STRANGERS = 50
"""How many more there are with changes by strangers."""

ELSEWHERE = frozenset(
    condition
    for condition in Condition
    if condition.name.startswith(("STRUCTURAL_", "KEY_")) and condition is not Condition.KEY_POOL
) | {
    Condition.BUMP_RELEASE,
    Condition.CLOCK_SUSPEND,
    Condition.FILL_DEFAULT,
    Condition.FILL_LEVEL,
    Condition.HIT_COMPLETE,
}
"""The conditions that are not kept by a pool, but by what calls it."""

_Step = dict[str, Any]


class _Token(int):
    """What the model's replica returns when a call begins, with the number of the call."""

    number: int

    @classmethod
    def of(cls, value: int, number: int) -> _Token:
        token = cls(value)
        token.number = number
        return token


class _Recorder(Replica):
    """A replica that writes down what it is told and what it decides."""

    def __init__(self, pools: int, dropped: Dropped) -> None:
        super().__init__(pools, dropped)
        self.steps: list[_Step] = []
        self._plain = Replica(pools, NONE)
        self._numbers = itertools.count()
        self._keys: dict[object, int] = {}
        self._numbered: dict[int, int] = {}
        self._kept: list[Flight] = []
        self._changes: set[int] = set()

    def receive(self, request: Request) -> Entry | Flight | Forward:
        read = request.read
        level = None if read.level is None else stated(read.level, request.guarantee)
        step = self._step("ask", pool=read.pool, now=request.now, **self._names(read), guarantee=request.guarantee)
        step["level"] = None if level is None else level.name.lower()
        found = super().receive(request)
        match found:
            case Entry(label=label):
                step |= {"is": "hit", "sent": label.sent, "upto": label.upto}
            case Flight():
                step |= {"is": "join", "flight": self._numbered[id(found)]}
            case Forward(flight=None):
                step["is"] = "forward"
            case Forward(flight=flight) if flight:
                # Kept, so that no other flight has its id.
                self._kept.append(flight)
                self._numbered[id(flight)] = next(self._numbers)
                asked = found.guarantee if found.rewritten else None
                step |= {"is": "fill", "flight": self._numbered[id(flight)], "ask_for": asked}
        return found

    def answered(self, read: Read, flight: Flight, answer: Answer, now: int) -> bool:
        followed = super().answered(read, flight, answer, now)
        self._step("answer", flight=self._numbered[id(flight)], good=answer.good, followed=followed, now=now)
        return followed

    def sampling(self, pool: int) -> int:
        token = _Token.of(super().sampling(pool), next(self._numbers))
        self._step("sample", pool=pool, call=token.number)
        return token

    def sampled(self, number: int, endpoints: int, sent: int, now: int, timestamp: int) -> None:
        super().sampled(number, endpoints, sent, now, timestamp)
        call = cast("_Token", endpoints).number
        self._begun("sample", call)["now"] = sent
        self._step("sampled", call=call, timestamp=timestamp, now=now)

    def replaced(self, number: int) -> None:
        super().replaced(number)
        self._step("replaced", pool=number)

    def learning(self, read: Read, now: int) -> int | None:
        generation = super().learning(read, now)
        step = self._step("learn", pool=read.pool, now=now, collection=self._names(read)["collection"])
        step["open"] = generation is not None
        if generation is None:
            return None
        step["call"] = next(self._numbers)
        return _Token.of(generation, step["call"])

    def learned(self, read: Read, level: Level, generation: int, sent: int, now: int) -> None:
        super().learned(read, level, generation, sent, now)
        self._step("learned", call=cast("_Token", generation).number, level=level.name.lower())

    def seen(self, pool: int, call: int, kind: str, now: int, *, stranger: bool) -> None:
        super().seen(pool, call, kind, now, stranger=stranger)
        if self._structural(kind):
            self._changes.add(call)
            step = self._step("change", pool=pool, call=call, now=now)
            if stranger:
                step["stranger"] = True

    def ended(self, number: int, call: int, kind: str, outcome: str, now: int) -> None:
        super().ended(number, call, kind, outcome, now)
        if call in self._changes:
            self._step("ended", call=call, outcome=outcome, now=now)

    def _step(self, what: str, **values: object) -> _Step:
        self.steps.append({"do": what} | values)
        return self.steps[-1]

    def _begun(self, what: str, call: int) -> _Step:
        return next(step for step in self.steps if step["do"] == what and step["call"] == call)

    def _names(self, read: Read) -> dict[str, int]:
        """Return numbers for the read's question and for its collection; neither depends on the pool."""
        read = replace(read, pool=0)
        question, collection = self._plain.key(read, eventual=False), self._plain.headers(read)
        names = {"question": ("question", question), "collection": ("collection", collection)}
        return {name: self._keys.setdefault(value, len(self._keys)) for name, value in names.items()}


def replicas(of: History, dropped: Dropped = NONE) -> list[list[_Step]]:
    """Return the steps of each replica that a history reaches, with the cache but for the conditions dropped."""
    made = list[_Recorder]()

    def make(pools: int, dropped: Dropped) -> _Recorder:
        made.append(_Recorder(pools, dropped))
        return made[-1]

    with patch.object(simulate, "Replica", make):
        simulate.run(of, dropped)
    return [replica.steps for replica in made if any(step["do"] == "ask" for step in replica.steps)]


def cases() -> Iterator[dict[str, Any]]:
    """Yield a name and the steps of one replica: for each condition, and for random histories."""
    for condition, witness in WITNESSES.items():
        if condition not in ELSEWHERE:
            yield from ({"name": condition.name, "steps": steps} for steps in replicas(witness))
    rng = random.Random(16)  # noqa: S311
    for number in range(RANDOM):
        yield from ({"name": f"random {number}", "steps": steps} for steps in replicas(history(rng)))
    for number in range(STRANGERS):
        with_strangers = strangers(history(rng))
        yield from ({"name": f"random stranger {number}", "steps": steps} for steps in replicas(with_strangers))


def render() -> str:
    """Return the file, one replica a line."""
    lines = (json.dumps(case, separators=(",", ":")) for case in cases())
    return '{"replicas":[\n' + ",\n".join(lines) + "\n]}\n"


def main(arguments: list[str]) -> int:
    """Write the file, or with ``--check`` say whether it is up to date."""
    if arguments not in ([], ["--check"]):
        print("usage: generate_cache_histories.py [--check]", file=sys.stderr)
        return 2
    text = render()
    if not arguments:
        HISTORIES.write_text(text)
        return 0
    if HISTORIES.exists() and HISTORIES.read_text() == text:
        return 0
    print(
        f"{HISTORIES.relative_to(ROOT)} is out of date: run `python -m tools.generate_cache_histories`", file=sys.stderr
    )
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
