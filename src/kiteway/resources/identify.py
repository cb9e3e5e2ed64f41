"""Which kind an object is of, by its apiVersion and kind."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from kiteway.resources import reasons
from kiteway.resources.kinds import KINDS
from kiteway.resources.object import Object
from kiteway.resources.places import quoted
from kiteway.resources.rules import closest
from kiteway.resources.schema import Violation

_INGRESS_FIX = (
    "Use apiVersion: networking.k8s.io/v1; give every path a pathType, and write a backend as "
    "service.name and service.port.number (or service.port.name)."
)

_REMOVED = {
    ("extensions/v1beta1", "Ingress"): _INGRESS_FIX,
    ("networking.k8s.io/v1beta1", "Ingress"): _INGRESS_FIX,
    ("networking.k8s.io/v1beta1", "IngressClass"): "Use apiVersion: networking.k8s.io/v1.",
    ("discovery.k8s.io/v1beta1", "EndpointSlice"): (
        "Use apiVersion: discovery.k8s.io/v1; an endpoint's topology is now zone and nodeName."
    ),
    (
        "networking.gke.io/v1beta1",
        "ManagedCertificate",
    ): "Use apiVersion: networking.gke.io/v1; the fields are the same.",
    (
        "networking.gke.io/v1beta2",
        "ManagedCertificate",
    ): "Use apiVersion: networking.gke.io/v1; the fields are the same.",
}

# Groups without a dot are Kubernetes' own. A kind of ours in one of them is a mistake, not another kind.
_OUR_GROUPS = frozenset(version.rpartition("/")[0] for cls in KINDS.values() for version in cls.API_VERSIONS)


@dataclass(frozen=True, slots=True)
class Unrelated:
    """A kind that has no part in load balancing."""

    api_version: str
    kind: str


@functools.lru_cache(maxsize=1024)
def identify(api_version: str, kind: str) -> type[Object] | Unrelated | Violation:
    """Return the class of an object, or that Kiteway does not read it, or what is wrong with its apiVersion and kind."""
    group = api_version.rpartition("/")[0]
    cls = KINDS.get(kind)
    if cls is None:
        return _unknown(api_version, group, kind)
    if api_version in cls.API_VERSIONS:
        return cls
    fix = _REMOVED.get((api_version, kind))
    if fix is None and not _is_ours(group, cls):
        return Unrelated(api_version, kind)
    message = f"No matches for kind {quoted(kind)} in version {quoted(api_version)}."
    return Violation(
        message, fix or f"Use apiVersion: {cls.API_VERSIONS[0]}.", reasons.NO_MATCH_FOR_KIND, ("apiVersion",)
    )


def _unknown(api_version: str, group: str, kind: str) -> Unrelated | Violation:
    # A misspelt kind is nearly the same word; ServiceAccount, IngressClassParameters and so on are other kinds.
    if group in _OUR_GROUPS and (meant := closest(kind, KINDS, 0.85)):
        message = f"No matches for kind {quoted(kind)} in version {quoted(api_version)}."
        return Violation(message, f"Did you mean {meant}?", reasons.NO_MATCH_FOR_KIND, ("kind",))
    return Unrelated(api_version, kind)


def _is_ours(group: str, cls: type[Object]) -> bool:
    """Return whether a wrong group of a known kind is a typing error, and not another project's kind of the same name."""
    if "." not in group or group in _OUR_GROUPS:
        return True
    right = cls.API_VERSIONS[0].rpartition("/")[0]
    return bool(closest(group, [right], 0.8))
