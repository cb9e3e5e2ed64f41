"""
Finds the unit to blame for a rejection: a pure state machine, without sockets, clock or Envoy.

Each unit has a form, identified by a fingerprint. For units on trial the newest form is published, for all others the last
accepted form. A verdict is about the units on trial: if the client accepts the configuration, each of their forms is
accepted; if it rejects it, they become suspects.

Suspects have a fixed order, the oldest unit first. By halving, the search finds the shortest beginning of this order that
is rejected. The last unit in it is to blame. So if two units conflict, the newer one is to blame. Forms that are accepted
during the search stay in force.

The search assumes that adding forms to a rejected set never makes it accepted. If a unit changed or was removed meanwhile,
this may not hold, so no unit is blamed before its form was rejected alone.
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

K = TypeVar("K", bound=Hashable)

MAX_PUSHES: Final = 20
"""The most configurations that are published in one search."""
MAX_OFFENCES: Final = 3
"""A unit that was to blame this often in a row is not tried when it changes, but when `Search.retry` is called."""


@dataclass(frozen=True, slots=True)
class Held:
    """
    The reason why a unit's newest form is not in force.

    Attributes:
        form: the fingerprint of that form.
        message: the client's message when it rejected the form, or a configuration with it.
    """

    form: str
    message: str


class _Kind(enum.Enum):
    """The kind of a trial."""

    CHANGES = enum.auto()
    """Changes that are not known to be bad; empty if there are none."""
    BASE = enum.auto()
    """Only the accepted forms, for a new client that may have no configuration."""
    PREFIX = enum.auto()
    """The first of the suspects."""


class Search(Generic[K]):
    """
    The forms of all units and the state of the search.

    Attributes:
        accepted: the form of each unit that was last accepted.
        culprits: the units to blame, each with its bad form; a unit is not tried again until its form changes.
        unsettled: units that are held back although it is not known whether they are to blame; `retry` tries them again.
        offences: how often in a row a unit was to blame.
        blocked: the client's message when it rejects even accepted forms; then no unit is to blame, and none is held back.
        pushes: configurations published in the present search, without those for changes that came meanwhile.
        settled: whether every unit had a verdict once.
    """

    def __init__(
        self,
        accepted: Mapping[K, str] | None = None,
        culprits: Mapping[K, Held] | None = None,
        max_pushes: int = MAX_PUSHES,
    ) -> None:
        """Start with the stored state; stored accepted forms are published before new ones."""
        self.accepted: dict[K, str] = dict(accepted or {})
        self.culprits: dict[K, Held] = dict(culprits or {})
        self.unsettled: dict[K, Held] = {}
        self.offences: dict[K, int] = {}
        self.blocked = ""
        self.pushes = 0
        self.settled = False
        self._max_pushes = max_pushes
        self._wanted: dict[K, str] = {}
        self._kind = _Kind.BASE if self.accepted else _Kind.CHANGES
        self._trial: dict[K, str] = {}
        self._arrivals: dict[K, None] = {}
        self._parked: dict[K, None] = {}
        self._away: dict[K, None] = {}
        self._suspects: list[K] = []
        self._bad = 0
        """The number of suspects, from the first on, that are known to be rejected together; 0: not known."""
        self._left: list[K] = []
        """The suspects that were known to be rejected together when the last search stopped."""
        self._size = 0
        """The number of suspects to try next; 0: half of those known to be bad, or all."""
        self._sure = not self.accepted
        """Whether this client has accepted the accepted forms."""
        self._stale = False
        """Whether other forms in the configuration have changed since the suspects were rejected."""
        self._message = ""

    @property
    def searching(self) -> bool:
        """Whether there are suspects."""
        return bool(self._suspects)

    @property
    def waiting(self) -> bool:
        """Whether changes wait for a verdict before they are published."""
        return bool(self._arrivals)

    @property
    def undecided(self) -> bool:
        """Whether a verdict is outstanding."""
        return bool(self._trial) or self._kind is _Kind.BASE

    def published(self, *, trial: bool = True) -> dict[K, str]:
        """Return the form of each unit to publish, with or without those on trial; a unit that is left out is not in it."""
        forms = {**self.accepted, **self._trial} if trial and self._trial else self.accepted
        return {key: forms[key] for key in self._wanted if key in forms and key not in self._away}

    @property
    def on_trial(self) -> Mapping[K, str]:
        """The units on trial with their forms: the next verdict is about these."""
        return self._trial

    def want(self, forms: Mapping[K, str]) -> None:
        """Take the newest form of every unit, the oldest unit first; units that are not in it were removed."""
        before, self._wanted = self._wanted, dict(forms)
        for key in (before.keys() | self.culprits.keys() | self.accepted.keys()) - forms.keys():
            self._stale |= self.accepted.pop(key, None) is not None
            self.offences.pop(key, None)
            self._drop(key)
        fresh = []
        for key, form in forms.items():
            held = self.culprits.get(key) or self.unsettled.get(key)
            if self.accepted.get(key) == form:
                if before.get(key) != form:
                    self._drop(key)
            elif (held is not None and held.form == form) or (held is None and before.get(key) == form):
                continue
            else:
                self._drop(key)
                fresh.append(key)
        self._arrivals.update(dict.fromkeys(self._admitted(fresh)))
        if self.blocked:
            self._try_all()
        elif not self.undecided:
            self._next()

    def _admitted(self, fresh: Iterable[K]) -> list[K]:
        """Return the units to try first: a unit that was to blame before is tried after the others, or later."""
        first = []
        for key in fresh:
            offences = self.offences.get(key, 0)
            if offences == 0:
                first.append(key)
            elif offences < MAX_OFFENCES:
                self._suspects.append(key)
            else:
                message = "it changed often and was rejected each time, so it is tried again after a while"
                self.unsettled[key] = Held(self._wanted[key], message)
        return first

    def _drop(self, key: K) -> None:
        """Remove a unit's form from the trial, the suspects and the results."""
        self.culprits.pop(key, None)
        self.unsettled.pop(key, None)
        self._trial.pop(key, None)
        self._arrivals.pop(key, None)
        self._parked.pop(key, None)
        self._away.pop(key, None)
        if key in self._left:
            self._left = []
        self._acquit(key)

    def _acquit(self, key: K) -> None:
        """Remove a unit from the suspects, without a verdict."""
        if key in self._suspects:
            if self._suspects.index(key) < self._bad:
                self._bad, self._stale = self._bad - 1, True
            self._suspects.remove(key)
            self._size = 0

    @property
    def parked(self) -> Collection[K]:
        """The units whose newest form waits until the client is ready for it."""
        return self._parked.keys()

    @property
    def away(self) -> Collection[K]:
        """The units that are not published at all, not even in their accepted form, until the client is ready for them."""
        return self._away.keys()

    def leave_out(self, keys: Iterable[K]) -> None:
        """Publish nothing of these units for now, because they prevent the client from starting."""
        keys = [key for key in keys if key in self._wanted]
        self.park(keys)
        self._away.update((key, None) for key in keys if key in self.accepted)

    def park(self, keys: Iterable[K]) -> None:
        """Remove units from the trial if there can be no verdict yet on their newest form, so that other units do not wait."""
        for key in keys:
            if self._trial.pop(key, None) is not None:
                self._acquit(key)
                self._parked[key] = None
        if not self.undecided:
            self._next()

    def unpark(self) -> None:
        """Note that the client is ready for the parked units."""
        self._arrivals.update(self._parked)
        self._parked, self._away = {}, {}
        if not self.undecided:
            self._next()

    def accept(self) -> None:
        """Note that the client acknowledged the published forms."""
        self.blocked = ""
        self._sure = True
        replaced = any(key in self.accepted for key in self._trial)
        self.accepted |= self._trial
        for key in self._trial:
            self.offences.pop(key, None)
        if self._kind is _Kind.PREFIX:
            size = len(self._trial)
            self._suspects = [key for key in self._suspects if key not in self._trial]
            self._bad = max(0, self._bad - size)
        elif replaced:
            self._stale = True
        self._size = 0
        self._next()

    def reject(self, message: str, named: Collection[K] = (), tried: int = 0) -> None:
        """
        Note that the client rejected the published forms.

        Args:
            message: the client's.
            named: units on trial to which the message points, or `Apart`.
            tried: how many configurations were published to find these.
        """
        if self.blocked:
            self.blocked = message
            return
        if not self._trial:
            self.blocked = message
            self._try_all()
            return
        self._message = message
        trial = [key for key in self._wanted if key in self._trial]
        if self._kind is not _Kind.PREFIX:
            if not self._suspects:
                self.pushes = 1
            self._suspects = trial + [key for key in self._suspects if key not in self._trial]
        self.pushes += tried
        self._bad, self._stale = len(trial), False
        others = [key for key in self._suspects[: self._bad] if key not in named]
        self._size = len(others) if len(others) < self._bad else 0
        self._suspects[: self._bad] = others + [key for key in self._suspects[: self._bad] if key in named]
        if self._bad == 1 and self._sure:
            self._condemn(self._suspects[0])
        self._next()

    def reconnect(self) -> None:
        """Note that a client connected or disconnected: the next one may have no forms, so it gets accepted forms first."""
        self.blocked = ""
        if self._kind is not _Kind.PREFIX:
            self._arrivals = dict.fromkeys([*self._trial, *self._arrivals])
        self._arrivals.update(self._parked)
        self._trial, self._parked, self._away = {}, {}, {}
        self._bad = self._size = 0
        if self.accepted:
            self._kind, self._sure = _Kind.BASE, False
        else:
            self._next()

    def overdue(self) -> None:
        """Publish the waiting changes, because a verdict takes long."""
        if not self._arrivals or self._kind is _Kind.BASE:
            return
        if self._kind is _Kind.PREFIX:
            self._next()
        else:
            self._trial |= {key: self._wanted[key] for key in self._arrivals}
            self._arrivals = {}

    def give_up(self) -> None:
        """Hold back all suspects, because the search takes too long."""
        for key in self._suspects:
            self.unsettled[key] = Held(self._wanted[key], self._message)
        self._left = self._suspects[: self._bad]
        self._suspects, self._bad, self._size, self.pushes = [], 0, 0, 0
        if not self.undecided or self._kind is _Kind.PREFIX:
            self._next()

    def retry(self) -> None:
        """Try the unsettled units again, from where the search stopped, and test whether the client still rejects all forms."""
        going_on = not self._suspects and all(key in self.unsettled for key in self._left)
        first = self._left if going_on else []
        self._suspects += [*first, *(key for key in self._wanted if key in self.unsettled and key not in first)]
        self._bad, self._stale = len(first), True
        self._left, self.unsettled = [], {}
        if self.blocked:
            self.blocked = ""
            self.reconnect()
        elif not self.undecided:
            self._next()

    def _next(self) -> None:
        """Choose the next trial."""
        self._trial, self._kind = {}, _Kind.CHANGES
        if self._arrivals:
            self._trial = {key: self._wanted[key] for key in self._arrivals}
            self._arrivals = {}
        elif self._suspects:
            self._search()
        if self._suspects:
            self.pushes += self._kind is not _Kind.CHANGES
        else:
            self.pushes = 0
            self.settled = self.settled or not self._trial

    def _search(self) -> None:
        if self.pushes >= self._max_pushes:
            self.give_up()
            return
        if self._bad == 1 and not self._sure:
            self._kind = _Kind.BASE
            return
        if self._bad == 1 and not self._stale:
            self._condemn(self._suspects[0])
            if not self._suspects:
                return
        size = self._size or (max(1, self._bad // 2) if self._bad else len(self._suspects))
        self._trial = {key: self._wanted[key] for key in self._suspects[:size]}
        self._kind = _Kind.PREFIX

    def _condemn(self, key: K) -> None:
        self.culprits[key] = Held(self._wanted[key], self._message)
        self.offences[key] = self.offences.get(key, 0) + 1
        self._suspects.remove(key)
        self._bad = self._size = 0

    def _try_all(self) -> None:
        """Publish every form that is not known to be bad, because no unit causes the rejection."""
        held = self.culprits.keys() | self.unsettled.keys()
        self._trial = {k: form for k, form in self._wanted.items() if self.accepted.get(k) != form and k not in held}
        self._arrivals, self._parked, self._away, self._suspects = {}, {}, {}, []
        self._bad, self._size, self.pushes = 0, 0, 0
        self._kind, self.settled = _Kind.CHANGES, True
