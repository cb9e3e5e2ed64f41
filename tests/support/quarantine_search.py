"""A client that rejects by a hidden rule, and verdicts of it for the search."""

from __future__ import annotations

from collections.abc import Iterable

from kiteway.quarantine.search import Search

MANY = 100_000


Conflicts = frozenset[frozenset[str]]


class Client:
    """
    What Envoy does with a set of forms.

    A form that begins with ``bad`` is rejected wherever it is; ``conflicts`` are forms that are rejected together.
    """

    def __init__(self, conflicts: Iterable[Iterable[str]] = (), *, takes_anything: bool = True) -> None:
        self.conflicts = [frozenset(each) for each in conflicts]
        self.takes_anything = takes_anything

    def bad(self, forms: Iterable[str]) -> bool:
        """Return whether forms are rejected together."""
        found = set(forms)
        return (
            not self.takes_anything
            or any(f.startswith("bad") for f in found)
            or any(c <= found for c in self.conflicts)
        )


def published(search: Search[str], keys: Iterable[str]) -> dict[str, str]:
    """Return the forms that are published."""
    published = search.published()
    return {key: published[key] for key in keys if key in published}


def judge(search: Search[str], client: Client, keys: Iterable[str], names: Iterable[str] = ()) -> bool:
    """Give one verdict; return whether it was accepted."""
    if client.bad(published(search, keys).values()):
        search.reject("no", [name for name in names if name in search.on_trial])
        return False
    search.accept()
    return True


def settle(search: Search[str], client: Client, keys: Iterable[str], names: Iterable[str] = ()) -> int:
    """Give verdicts until none is wanted; return how many."""
    keys = list(keys)
    pushes = 0
    while search.undecided:
        judge(search, client, keys, names)
        pushes += 1
        assert pushes < 10_000, "it never ends"
    return pushes


def forms(count: int, **others: str) -> dict[str, str]:
    """Return so many units with good forms, but for ``others``."""
    return {f"u{number:04}": f"good{number}" for number in range(count)} | others
