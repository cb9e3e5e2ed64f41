"""The types of an attack and its result, and the trial that every attack by objects goes through."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tests.attack.tenant import ATTACKER
from tests.attack.world import LIMIT_SECONDS, World, world
from tests.e2e.traffic import Backend
from tests.support.manifests import Manifest

CHANGE_SECONDS = 1.0
"""The victim's changes arrive within this time."""
LIVE_SECONDS = 1.0
"""``/live`` answers within this time."""
TAKEN_SECONDS = 30.0
"""So long the attacker's objects are waited for."""
SERVED_SECONDS = 10.0
"""The victim is served again so long after a process was killed, the start of that process included."""
MEMORY_BYTES = 256 << 20
"""So much more one tenant's objects may take of both processes together."""
LOG_BYTES = 4 << 20
"""So much one tenant's objects may write into the logs."""


@dataclass
class Seen:
    """
    The result of an attack; None where a column has no meaning.

    Attributes:
        refused: the codes of Kiteway's diagnostics, or its words.
        change: seconds until the victim's slowest change had arrived.
        failed: calls of the victim that failed, apart from those in flight when Envoy was killed.
        calls: those that were answered.
        envoy: seconds until the victim was served after Envoy was killed.
        both: the same after both processes were killed.
        live: seconds of the slowest answer of ``/live``.
        memory: bytes by which both processes grew.
        broken: what must not happen and did, a sentence each.
        slow: what took longer than it may; on a busy machine it can.
    """

    refused: str = ""
    change: float | None = None
    failed: int | None = None
    calls: int | None = None
    envoy: float | None = None
    both: float | None = None
    live: float | None = None
    memory: int | None = None
    broken: list[str] = field(default_factory=list)
    slow: list[str] = field(default_factory=list)

    @property
    def faults(self) -> list[str]:
        """Both."""
        return [*self.broken, *self.slow]

    def check(self, *, holds: bool, otherwise: str) -> None:
        """Note ``otherwise`` unless it ``holds``."""
        if not holds:
            self.broken.append(otherwise)


@dataclass(frozen=True)
class Attack:
    """
    One attack.

    Attributes:
        part: the heading it belongs to in docs/design/attack.md.
        name: for the table.
        run: does it.
        background: it mostly waits, so it may be done beside the others.
    """

    part: str
    name: str
    run: Callable[[], Seen]
    background: bool = False


Poison = Callable[[Backend], Sequence[Manifest]]
"""Makes the attacker's objects; its Service leads to the backend."""


def poisoned(part: str, name: str, poison: Poison) -> Attack:
    """Return an attack by objects alone; something of them must be refused, with a diagnostic."""

    def run() -> Seen:
        with world() as found:
            return trial(found, poison(found.backend))

    return Attack(part, name, run)


def trial(found: World, objects: Sequence[Manifest], *, must_refuse: bool = True) -> Seen:
    """Apply the attacker's objects beside a change of the victim, and go through everything that must hold."""
    seen = Seen()
    memory, logged = found.memory(), found.logged()
    found.write(ATTACKER, objects)
    changes = [found.arrived(found.change_begun())]
    # A large file takes a while to be decoded, and others' changes may not wait for that.
    end = time.monotonic() + TAKEN_SECONDS
    while not found.knows(ATTACKER) and time.monotonic() < end:
        changes.append(found.change())
    changes.append(found.change())
    seen.memory = found.memory() - memory
    codes = found.refusals(ATTACKER)
    seen.refused = ", ".join(codes[:2])
    measure_live(seen, found)
    seen.envoy = found.kill("envoy")
    changes.append(found.change())
    seen.both = found.kill("envoy", "controlplane")
    changes.append(found.change())
    seen.change = max(changes)
    seen.memory = max(seen.memory, found.memory() - memory)
    measure_calls(seen, found)
    seen.check(holds=bool(codes) or not must_refuse, otherwise="nothing says what is wrong with the attacker's objects")
    seen.check(
        holds=found.logged() - logged < LOG_BYTES,
        otherwise=f"the logs grew by {(found.logged() - logged) >> 20} MiB",
    )
    judge(seen)
    return seen


def measure_live(seen: Seen, found: World) -> None:
    """Take what ``/live`` answered so far; count no more of it."""
    found.live.pause()
    seen.live = found.live.slowest
    seen.check(holds=not found.live.refused, otherwise=f"/live failed {found.live.refused} times")


def measure_calls(seen: Seen, found: World) -> None:
    """Take what became of the victim's calls."""
    seen.calls, seen.failed = found.calls.ok, found.calls.failures.total()
    if found.calls.failures:
        seen.broken.append(f"calls failed: {dict(found.calls.failures.most_common(2))}")
    seen.check(holds=found.calls.ok > 0, otherwise="no call was answered, so nothing was shown")


def judge(seen: Seen) -> None:
    """Hold what was measured against the bounds."""
    if seen.change is not None and seen.change > CHANGE_SECONDS:
        if seen.change >= LIMIT_SECONDS:
            seen.broken.append("a change never arrived")
        else:
            seen.slow.append(f"a change took {seen.change:.2f} s")
    for what, took in (("Envoy was", seen.envoy), ("both processes were", seen.both)):
        seen.check(holds=took is None or took < SERVED_SECONDS, otherwise=f"not served after {what} killed")
    if seen.live is not None and seen.live > LIVE_SECONDS:
        seen.slow.append(f"/live took {seen.live:.1f} s")
    if seen.memory is not None and seen.memory > MEMORY_BYTES:
        seen.broken.append(f"memory grew by {seen.memory >> 20} MiB")
