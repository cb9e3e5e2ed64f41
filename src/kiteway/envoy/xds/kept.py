"""What was made of the same values before."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

_Key = tuple[Any, ...]


class Kept:
    """
    Calls functions of values that never change, and keeps what they returned for as long as it is asked for.

    Values are told apart by identity, tuples by that of their members: comparing costs nothing, and the stages before
    hand out the very objects of the last round for what did not change. What is returned is the very object of the
    last round, too; nobody changes it.
    """

    def __init__(self) -> None:
        self._current: dict[_Key, tuple[Any, Any]] = {}
        self._previous: dict[_Key, tuple[Any, Any]] = {}

    def turn(self) -> None:
        """Begin a round: what is not asked for in it is forgotten at the next."""
        self._previous, self._current = self._current, {}

    def __call__(self, make: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Return ``make(*args)``, made now or before; keyword arguments are not taken."""
        key = (make, *(tuple(map(id, arg)) if isinstance(arg, tuple) else id(arg) for arg in args))
        found = self._current.get(key) or self._previous.get(key)
        if found is None:
            # The arguments are held, so that no other value gets their identity.
            found = (args, make(*args, **kwargs))
        self._current[key] = found
        result: R = found[1]
        return result
