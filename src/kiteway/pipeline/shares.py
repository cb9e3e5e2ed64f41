"""How many endpoints each namespace may have, when all of them share what Envoy can hold."""

from __future__ import annotations

from collections.abc import Collection


class Shares:
    """
    The largest number that every namespace may have without exceeding the sum of all.

    A namespace with fewer endpoints than this has all of its own; only those with more are cut. So nobody loses an endpoint to a
    namespace that has more.

    Attributes:
        most: how many endpoints one namespace may have, whatever the others have.
        total: how many all may have; None: any number.
    """

    def __init__(self, most: int, total: int | None = None) -> None:
        self.most = most
        self.total = total
        self._wanted: dict[str, int] = {}

    def want(self, namespace: str, number: int) -> None:
        """Set how many endpoints the pools of a namespace have together."""
        self._wanted[namespace] = number

    def keep(self, namespaces: Collection[str]) -> None:
        """Forget every namespace but these."""
        for namespace in self._wanted.keys() - set(namespaces):
            del self._wanted[namespace]

    def each(self) -> int:
        """Return how many endpoints a namespace may have."""
        if self.total is None or sum(self._wanted.values()) <= self.total:
            return self.most
        before = 0
        numbers = sorted(min(number, self.most) for number in self._wanted.values())
        for at, number in enumerate(numbers):
            share = (self.total - before) // (len(numbers) - at)
            if share < number:
                return share
            before += number
        return self.most

    def above(self, number: int) -> dict[str, int]:
        """Return the namespaces whose pools have more endpoints than ``number``, each with how many."""
        return {namespace: wanted for namespace, wanted in self._wanted.items() if wanted > number}
