"""Runs a history: clients, replicas and Milvus, event by event."""

from __future__ import annotations

import heapq
import itertools
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.cache.cache import Entry, Flight, Forward, Replica, Request
from tests.cache.conditions import NONE, Condition, Dropped
from tests.cache.history import (
    POOLS,
    REPLICAS,
    Change,
    Failover,
    History,
    Operation,
    Read,
    Replacement,
    Sample,
    Suspension,
    Write,
)
from tests.cache.milvus import Answer, Call, Cluster, Pool, State
from tests.cache.oracle import Arrival, wrong

_RELEASED_TOO_EARLY = 200
"""How long before the generation is bumped the answer is out, without the condition that forbids it, in ms."""


@dataclass
class Run:
    """
    What came of a history.

    Attributes:
        violations: what reads saw that they may not see, in order.
        outcomes: how many reads were hits, joined, fills, forwarded.
    """

    violations: list[str] = field(default_factory=list)
    outcomes: Counter[str] = field(default_factory=Counter)


def run(history: History, dropped: Dropped = NONE) -> Run:
    """Run a history with the cache but for the conditions dropped."""
    return _Simulation(history, dropped).run()


class _Simulation:
    def __init__(self, history: History, dropped: Dropped) -> None:
        self._history = history
        self._dropped = dropped
        self._pools = [Pool(i, ahead, history.levels) for i, ahead in enumerate(history.ahead)]
        self._replicas = [Replica(POOLS, dropped) for _ in range(REPLICAS)]
        self._suspended = [(op.replica, op.at, op.duration) for op in history.operations if isinstance(op, Suspension)]
        self._events: list[tuple[int, int, Callable[[int], None]]] = []
        self._order = itertools.count()
        self._waiting: dict[int, Arrival] = {}
        self._newest: dict[tuple[int, int], int] = {}
        self._announced = Counter[int]()
        self._run = Run()

    def run(self) -> Run:
        for number, operation in enumerate(self._history.operations):
            self._begin(number, operation)
        while self._events:
            now, _, event = heapq.heappop(self._events)
            event(now)
        return self._run

    def _at(self, time: int, event: Callable[[int], None]) -> None:
        heapq.heappush(self._events, (time, next(self._order), event))

    def _awake(self, replica: int, time: int) -> int:
        """Return when a replica handles what reaches it at `time`."""
        ends = [
            at + duration
            for asleep, at, duration in self._suspended
            if asleep == replica and at <= time < at + duration
        ]
        return self._awake(replica, max(ends)) if ends else time

    def _clock(self, replica: int, time: int) -> int:
        """Return a replica's local time."""
        if Condition.CLOCK_SUSPEND not in self._dropped:
            return time
        slept = {
            t
            for asleep, at, duration in self._suspended
            if asleep == replica
            for t in range(at, min(at + duration, time))
        }
        return time - len(slept)

    def _begin(self, number: int, operation: Operation) -> None:
        match operation:
            case Read():
                begun = self._awake(operation.replica, operation.at)
                complete = self._awake(operation.replica, begun + operation.upload)
                self._at(complete, lambda now: self._read(number, operation, begun, now))
            case Sample():
                sent = self._awake(operation.replica, operation.at)
                self._at(sent, lambda now: self._sample(operation, now))
            case Write():
                name = operation.database, operation.name
                pool, acknowledged = self._pools[operation.pool], operation.at + operation.ack
                self._at(operation.at, lambda now: pool.write(now, name, operation.partition, acknowledged))
            case Change():
                seen = operation.at if operation.replica is None else self._awake(operation.replica, operation.at)
                self._at(seen, lambda now: self._change(number, operation, now))
            case Failover():
                self._at(operation.at, lambda now: self._pools[operation.pool].cluster.fail_over(now, operation.lead))
            case Replacement():
                self._at(operation.at, lambda now: self._replace(operation, now))
            case Suspension():
                pass

    def _read(self, number: int, read: Read, begun: int, now: int) -> None:
        pool, replica = self._pools[read.pool], self._replicas[read.replica]
        guarantee = 0 if read.write is None else pool.newest(now, read.write)
        if read.unseen:
            self._forward(number, read, Forward(read.level, guarantee), now)
            return
        clock = self._clock(read.replica, now)
        request = Request(read, guarantee, self._clock(read.replica, begun), clock)
        self._waiting[number] = Arrival(read, read.replica, now, guarantee)
        match replica.receive(request):
            case Entry(answer=answer):
                self._count("hit")
                self._judge(number, answer, cached=True)
            case Flight(followers=followers):
                followers.append(number)
            case Forward() as forward:
                self._forward(number, read, forward, now)

    def _forward(self, number: int, read: Read, forward: Forward, now: int) -> None:
        pool, replica = self._pools[read.pool], self._replicas[read.replica]
        call = Call(pool.cluster, forward.level, forward.guarantee)
        self._count("fill" if forward.rewritten else "forward")
        if forward.learn:
            self._learn(read, pool.cluster, now)

        def at_milvus(now: int) -> None:
            answer = pool.read(now, read, call)
            self._at(self._awake(read.replica, now + read.down), lambda now: back(answer, now))

        def back(answer: Answer, now: int) -> None:
            if forward.rewritten:
                self._judge(number, answer, cached=False)
            if forward.flight and replica.answered(read, forward.flight, answer, self._clock(read.replica, now)):
                for follower in forward.flight.followers:
                    self._count("joined")
                    self._judge(follower, answer, cached=True)

        self._at(now + read.up, at_milvus)

    def _learn(self, read: Read, cluster: Cluster, now: int) -> None:
        pool, replica, sent = self._pools[read.pool], self._replicas[read.replica], self._clock(read.replica, now)
        generation = replica.learning(read, sent)
        if generation is None:
            return

        def at_milvus(now: int) -> None:
            level = pool.describe(now, read, cluster)
            if level is not None:
                self._at(
                    self._awake(read.replica, now + read.down),
                    lambda now: replica.learned(read, level, generation, sent, self._clock(read.replica, now)),
                )

        self._at(now + read.up, at_milvus)

    def _sample(self, sample: Sample, now: int) -> None:
        pool, replica = self._pools[sample.pool], self._replicas[sample.replica]
        sent, endpoints, cluster = self._clock(sample.replica, now), replica.sampling(sample.pool), pool.cluster

        def at_milvus(now: int) -> None:
            timestamp = cluster.allocate(now)
            self._at(self._awake(sample.replica, now + sample.down), lambda now: back(timestamp, now))

        known = self._announced[sample.pool]

        def back(timestamp: int, now: int) -> None:
            if known == self._announced[sample.pool]:
                self._show(sample, cluster, timestamp, now)
            replica.sampled(sample.pool, endpoints, sent, self._clock(sample.replica, now), timestamp)

        self._at(now + sample.up, at_milvus)

    def _show(self, sample: Sample, cluster: Cluster, timestamp: int, now: int) -> None:
        """Note that a replica has a timestamp that only another cluster can have given."""
        key = sample.replica, sample.pool
        if timestamp < self._newest.get(key, 0):
            for state in self._pools[sample.pool].states:
                if state.cluster is cluster:
                    state.shown.setdefault(sample.replica, now)
                    break
        self._newest[key] = timestamp

    def _change(self, number: int, change: Change, seen: int) -> None:
        pool, through = self._pools[change.pool], change.replica
        if through is not None:
            clock = self._clock(through, seen)
            self._replicas[through].seen(change.pool, number, change.kind, clock, stranger=change.stranger)

        def at_milvus(now: int) -> None:
            state = None if change.outcome == "refused" else pool.change(now, change)
            if state:
                state.seen = seen
            outcome = change.outcome if state else "refused"
            if through is not None and change.outcome != "silent":
                self._at(self._awake(through, now + change.answer), lambda now: back(state, outcome, now))

        def back(state: State | None, outcome: str, now: int) -> None:
            if state:
                state.ended = now
            late = _RELEASED_TOO_EARLY if Condition.BUMP_RELEASE in self._dropped else 0
            self._at(now + late, lambda now: end(outcome, now))

        def end(outcome: str, now: int) -> None:
            assert through is not None
            self._replicas[through].ended(change.pool, number, change.kind, outcome, self._clock(through, now))

        self._at(seen + change.commit, at_milvus)

    def _replace(self, replacement: Replacement, now: int) -> None:
        state = self._pools[replacement.pool].replace(now, replacement.ahead, replacement.written)
        if replacement.announced:
            self._announced[replacement.pool] += 1
            for number, replica in enumerate(self._replicas):
                state.shown[number] = now
                replica.replaced(replacement.pool)
                self._newest.pop((number, replacement.pool), None)

    def _judge(self, number: int, answer: Answer, *, cached: bool) -> None:
        arrival = self._waiting[number]
        found = wrong(self._pools[arrival.read.pool], arrival.read.pool, arrival, answer, cached=cached)
        if found:
            self._run.violations.append(f"the read that arrived at {arrival.at} ms {found}")

    def _count(self, outcome: str) -> None:
        self._run.outcomes[outcome] += 1
