"""Annotations that nearly are one that Kiteway reads, or are on the wrong kind of object."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from kiteway.resources import annotations as keys
from kiteway.resources.annotations import ON_INGRESS, ON_SERVICE
from kiteway.resources.rules import closest

_OLDER = frozenset({keys.APP_PROTOCOLS_ALPHA, keys.BACKEND_CONFIG_BETA})
_KNOWN = ON_SERVICE | ON_INGRESS
_OWNERS = frozenset(
    {
        *(key.partition("/")[0] for key in _KNOWN),
        "cloud.google",
        "google.com",
        "gke.io",
        "ingress.kubernetes.io",
        "k8s.io",
        "networking.gke.com",
        "networking.google.com",
        "networking.k8s.io",
        "service.kubernetes.io",
    }
)
"""The prefixes of the known keys, and those that are written for them."""
_SIMILAR = 0.85
"""How much of the letters of a name must be those of the known one (`difflib`'s ratio)."""
_SIMILAR_OWN = 0.7
"""The same below kiteway.io/, where no other tool has keys."""
_OTHERS = frozenset(
    {
        # GKE's own, for its other load balancers.
        "cloud.google.com/l4-rbs",
        "cloud.google.com/load-balancer-type",
        "networking.gke.io/load-balancer-type",
        "networking.gke.io/load-balancer-ip-addresses",
    }
)


@dataclass(frozen=True, slots=True)
class Near:
    """
    The key that a misspelt or misplaced annotation probably means.

    Attributes:
        meant: the key that Kiteway reads.
        kind: the kind of object that it belongs to.
        misspelt: whether the key differs; otherwise it is on the wrong kind alone.
    """

    meant: str
    kind: str
    misspelt: bool


def read_on(kind: str) -> frozenset[str]:
    """Return the annotations that are read on a kind of object."""
    return ON_SERVICE if kind == "Service" else ON_INGRESS


@functools.lru_cache(maxsize=4096)
def near(key: str, kind: str) -> Near | None:
    """Return the key that was probably meant on an object of a kind; None if ``key`` is right, or not one of Kiteway's."""
    own = read_on(kind)
    if key in own or key in _OTHERS:
        return None
    meant = key if key in _KNOWN else _meant(key, own)
    if not meant:
        return None
    return Near(meant, "Service" if meant in ON_SERVICE else "Ingress", meant != key)


def _meant(key: str, own: frozenset[str]) -> str:
    prefix, slash, _name = key.rpartition("/")
    if len(key) > 128 or (slash and prefix not in _OWNERS and not closest(prefix, _OWNERS, 0.9)):
        return ""
    # Of two keys with equal names the one for this kind of object is meant, and the newer one.
    names = {_bare(known): known for known in (*_OLDER, *sorted(_KNOWN - own - _OLDER), *sorted(own - _OLDER))}
    found = closest(_bare(key), names, _SIMILAR_OWN if prefix == "kiteway.io" else _SIMILAR)
    return names.get(found, "")


def _bare(key: str) -> str:
    """Return the name in a key without what is often left out of it: the version, ``ingress.``, the case."""
    name = key.rpartition("/")[2]
    for left_out in ("v1beta1.", "v1.", "ingress."):
        name = name.removeprefix(left_out)
    return name.lower()
