"""The API server's answers, unprocessed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from kiteway.doctor.cluster.facts import Unread
from kiteway.kubernetes.paths import collection
from kiteway.sources.kubernetes.kinds import WATCHED

Raw = Mapping[str, Any]
"""An object as JSON values."""

POD: Final = "Pod"
BUDGET: Final = "PodDisruptionBudget"
EVENT: Final = "Event"

COLLECTIONS: Final = {
    POD: ("v1", "pods"),
    BUDGET: ("policy/v1", "poddisruptionbudgets"),
    EVENT: ("v1", "events"),
}
"""What is listed besides the kinds that make a load balancer: apiVersion and plural."""


def paths(namespace: str) -> Iterator[tuple[str, str, bool]]:
    """Yield what is listed: the kind, the path, and whether a cluster may be without it. Secrets are never listed."""
    for kind in WATCHED:
        if kind.cls.KIND != "Secret":
            yield kind.cls.KIND, kind.collection(namespace), kind.custom
    for name, (version, plural) in COLLECTIONS.items():
        yield name, collection(version, plural, namespace), False


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """
    One reading.

    Attributes:
        server: the API server.
        namespace: which was read.
        objects: the objects of each kind that was listed, and the Secrets that were named.
        release: the newest Secret of Helm's about the release; None if there is none.
        gke: whether it is a GKE cluster.
        unread: what was refused.
        problem: why nothing could be read; empty if something could.
    """

    server: str
    namespace: str
    objects: Mapping[str, tuple[Raw, ...]] = field(default_factory=dict)
    release: Raw | None = None
    gke: bool = False
    unread: tuple[Unread, ...] = ()
    problem: str = ""

    def of(self, kind: str) -> tuple[Raw, ...]:
        """Return the objects of a kind."""
        return self.objects.get(kind, ())
