"""A memo: results of functions of values, found again by the identity of the values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, TypeVarTuple

T = TypeVar("T")
Ts = TypeVarTuple("Ts")
R = TypeVar("R")

_Key = tuple[Any, ...]


@dataclass(slots=True)
class _Row:
    """
    The cached results of a sequence of values.

    Attributes:
        shared: the other arguments; referenced, as the values are, so that no other object gets their identity.
        identities: those of the values, in order.
        made: by a value's identity, the value and its result.
        results: in the order of the values.
    """

    shared: tuple[Any, ...]
    identities: tuple[int, ...]
    made: dict[int, tuple[Any, Any]]
    results: tuple[Any, ...]


class Memo:
    """
    Calls pure functions of immutable values, and caches each result until a round does not ask for it.

    Arguments are compared by identity, tuples by the identity of their members. That is cheap, and it works because a
    stage returns the same object for an unchanged value. A cached result is the same object, too.
    """

    def __init__(self) -> None:
        self._current: dict[_Key, tuple[Any, Any]] = {}
        self._previous: dict[_Key, tuple[Any, Any]] = {}
        self._rows: dict[_Key, _Row] = {}
        self._previous_rows: dict[_Key, _Row] = {}

    def turn(self) -> None:
        """Begin a round; a result that this round does not ask for is evicted at the next."""
        self._previous, self._current = self._current, {}
        self._previous_rows, self._rows = self._rows, {}

    def __call__(self, make: Callable[[*Ts], R], *args: *Ts) -> R:
        """Return ``make(*args)``, newly computed or cached."""
        key = (make, *[tuple(map(id, arg)) if isinstance(arg, tuple) else id(arg) for arg in args])
        found = self._current.get(key) or self._previous.get(key)
        if found is None:
            # The arguments are referenced, so that no other object gets their identity.
            found = (args, make(*args))
        self._current[key] = found
        result: R = found[1]
        return result

    def again(self, row: str, make: Callable[[R | None, *Ts], R], *args: *Ts) -> R:
        """Return ``make(last, *args)`` with the last result, or that result itself if the arguments are the same."""
        key = (row, make)
        before = self._rows.get(key) or self._previous_rows.get(key)
        identities = tuple(map(id, args))
        if before is not None and before.identities == identities:
            self._rows[key] = before
        else:
            made = make(before.results[0] if before is not None else None, *args)
            self._rows[key] = _Row(args, identities, {}, (made,))
        result: R = self._rows[key].results[0]
        return result

    def each(self, row: str, make: Callable[[T, *Ts], R], values: Sequence[T], *shared: *Ts) -> tuple[R, ...]:
        """
        Return ``make(value, *shared)`` for each of ``values``: the same as a call for each, at a fraction of the cost.

        The values are compared by identity, tuples too. ``row`` names the sequence of values: a result whose value is no
        longer in the sequence of this name is evicted at once.
        """
        key = (row, make, *map(id, shared))
        identities = tuple(map(id, values))
        before = self._rows.get(key) or self._previous_rows.get(key)
        if before is not None and before.identities == identities:
            self._rows[key] = before
            return before.results
        made = before.made if before is not None else {}
        fresh = {i: value for i, value in zip(identities, values, strict=True) if i not in made}
        made = made | {i: (value, make(value, *shared)) for i, value in fresh.items()}
        if len(made) > len(identities):
            made = {i: made[i] for i in identities}
        results = tuple([made[i][1] for i in identities])
        self._rows[key] = _Row(shared, identities, made, results)
        return results
