"""Which Ingresses are ours."""

from __future__ import annotations

from kiteway.resources import Ingress
from kiteway.resources import annotations as keys
from kiteway.translate.context import Options

GOOGLE_CLASSES = frozenset({"gce", "gce-internal", "gce-regional-external", "gce-multi-cluster"})
"""The values of ``kubernetes.io/ingress.class`` that GKE's own controller handles."""


def is_ours(ingress: Ingress, options: Options) -> bool:
    """
    Return whether an Ingress is ours: of our class, or of none.

    The annotation is looked at first, as GKE does; an Ingress of one of Google's classes is meant for what Kiteway
    stands in for, so outside GKE it is ours too.
    """
    named = ingress.metadata.annotations.get(keys.INGRESS_CLASS) or ingress.spec.ingress_class_name
    return named is None or named == options.ingress_class or named in GOOGLE_CLASSES - {"gce-internal"}
