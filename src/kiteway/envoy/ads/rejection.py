"""The rejections of a client, and which of them still apply."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from .snapshot import SECRET, ResourceSet, Snapshot

MESSAGE_CHARACTERS: Final = 8192
"""The most characters of a client's message that are stored; Envoy itself sends at most 4 KiB."""


@dataclass(frozen=True, slots=True)
class Rejection:
    """
    A response the client did not accept.

    Attributes:
        type_url: the type of its resources.
        nonce: the response.
        resources: the version of each resource in the response, by name; None for a resource that the response removed.
        named: the resources that the message names. Envoy names them for clusters and listeners only.
        certain: whether there is no doubt which resource is bad: it was alone in the response.
        message: the client's message, uncut (Envoy sends at most 4 KiB), without any resource that it quotes.
    """

    type_url: str
    nonce: str
    resources: Mapping[str, str | None]
    named: tuple[str, ...]
    certain: bool
    message: str


class Refusals:
    """
    The rejections that hold against the present snapshot.

    A rejection holds as long as the snapshot has each of its resources in the version that was sent: once a resource has
    changed, that may have been the bad one. A rejection also ends when the client has accepted each of its resources in
    smaller responses.
    """

    def __init__(self) -> None:
        self._left: dict[str, tuple[Rejection, set[str]]] = {}

    @property
    def standing(self) -> tuple[Rejection, ...]:
        """The rejections that hold, oldest first."""
        return tuple(rejection for rejection, _ in self._left.values())

    def add(self, rejection: Rejection, target: ResourceSet) -> None:
        """Add a rejection, which replaces older ones of the same resources; ``target`` has the wanted resources of its type."""
        names = set(rejection.resources)
        if names and _wanted(rejection, target):
            older = [n for n, (r, left) in self._left.items() if r.type_url == rejection.type_url and left <= names]
            for nonce in older:
                del self._left[nonce]
            self._left[rejection.nonce] = (rejection, names)

    def acknowledge(self, type_url: str, versions: Mapping[str, str | None]) -> None:
        """Record which versions the client has accepted."""
        for nonce, (rejection, left) in list(self._left.items()):
            if rejection.type_url == type_url:
                left -= {name for name, version in versions.items() if rejection.resources.get(name, "") == version}
                if not left:
                    del self._left[nonce]

    def retarget(self, snapshot: Snapshot) -> None:
        """Forget each rejection with a resource that the snapshot no longer has, or has in another version."""
        for nonce, (rejection, _) in list(self._left.items()):
            if not _wanted(rejection, snapshot[rejection.type_url]):
                del self._left[nonce]


def _wanted(rejection: Rejection, target: ResourceSet) -> bool:
    return all(
        version == (target[name].version if name in target else None) for name, version in rejection.resources.items()
    )


_CONSTRAINT: Final = re.compile(r"Proto constraint validation failed \(.*?\)(?=\s*$|: )", re.DOTALL)
_QUOTE: Final = "goo.gle/debug"
"""The beginning of a message's text, as protobuf prints it."""


def presentable(message: str, type_url: str) -> str:
    """
    Return the message without the resource that it quotes.

    If a resource breaks a constraint, Envoy quotes the whole resource: the key of a secret, or every tenant's hosts in a
    route table. The constraint comes after the quote, and is lost when the message is cut.
    """
    if type_url == SECRET and ("\n" in message or "-----BEGIN" in message):
        return "the secret is not valid; Envoy's message is withheld because it quotes the secret"
    constraint = _CONSTRAINT.search(message)
    if constraint is not None:
        return constraint[0][:MESSAGE_CHARACTERS]
    if _QUOTE in message:
        return "it breaks a constraint of Envoy's API; Envoy does not say which, because it quotes too much before it"
    return message[:MESSAGE_CHARACTERS]


def mentioned(message: str, names: Iterable[str]) -> tuple[str, ...]:
    """Return the names that the message contains as whole words; names may contain any of ``/ . - _ :``."""
    return tuple(name for name in names if name in message and _as_a_word(message, name))


def _as_a_word(message: str, name: str) -> bool:
    return re.search(rf"(?<![\w/.-]){re.escape(name)}(?![\w/-])", message) is not None
