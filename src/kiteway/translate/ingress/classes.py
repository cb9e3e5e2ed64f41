"""Which Ingresses Kiteway serves."""

from __future__ import annotations

import functools

from kiteway.diagnostics import Diagnostic, Severity
from kiteway.resources import Ingress, IngressClass
from kiteway.resources import annotations as keys
from kiteway.resources.places import Path
from kiteway.resources.rules import closest
from kiteway.translate.shared.context import Index, Options

GOOGLE_CLASSES = frozenset({"gce", "gce-internal", "gce-regional-external", "gce-multi-cluster"})
"""The values of ``kubernetes.io/ingress.class`` that GKE's own controller handles."""

CONTROLLER = "kiteway.io/ingress-controller"
"""The controller that an IngressClass for Kiteway names."""

_GOOGLE = frozenset({"gke", "gcp", "google"})
_CLASS_CUTOFF = 0.8
"""How similar a class is to a known one that it is taken for a mistake."""

_ANNOTATION: Path = ("metadata", "annotations", keys.INGRESS_CLASS)
_FIELD: Path = ("spec", "ingressClassName")


def named_class(ingress: Ingress) -> str | None:
    """Return the class that an Ingress names; the annotation is looked at first, as GKE does."""
    return ingress.metadata.annotations.get(keys.INGRESS_CLASS) or ingress.spec.ingress_class_name


def is_ours(ingress: Ingress, index: Index, options: Options) -> tuple[bool, Diagnostic | None]:
    """
    Return whether Kiteway serves an Ingress, and a diagnostic about its class, if there is one.

    Kiteway replaces Google's load balancer, so it serves Google's classes too, except the internal one: what is meant for a
    private network is not served on public listeners.
    """
    annotated = ingress.metadata.annotations.get(keys.INGRESS_CLASS)
    # As `named_class`, without a call: this runs for every Ingress in every round.
    named = annotated or ingress.spec.ingress_class_name
    if named is None:
        return True, None
    path = _ANNOTATION if annotated else _FIELD
    if named == options.ingress_class or (not annotated and _is_our_class(named, index)):
        return True, None
    if named == "gce-internal":
        return False, ingress.diagnostic(
            Severity.WARNING,
            "IngressClassInternal",
            "the class gce-internal is for Google's internal load balancer; Kiteway's listeners may be public, so the "
            "Ingress is left out.",
            f"Use the class {options.ingress_class} if these hosts may be reached wherever Kiteway listens.",
            path,
        )
    if named not in GOOGLE_CLASSES:
        known = index.objects.get((IngressClass.KIND, "", named)) is not None
        if not known and (meant := _meant(named, options.ingress_class)):
            return False, ingress.diagnostic(
                Severity.WARNING,
                "IngressClassMisspelt",
                f'the class "{named}" is not known, so the Ingress is left out.',
                f"Did you mean {meant}?",
                path,
            )
        return False, ingress.diagnostic(
            Severity.NOTE,
            "IngressClassIgnored",
            f'the Ingress is of the class "{named}", which belongs to another controller; it is left out.',
            f"Use the class {options.ingress_class} if it is meant for Kiteway.",
            path,
        )
    if annotated:
        return True, None
    return True, ingress.diagnostic(
        Severity.WARNING,
        "IngressClassNameSet",
        "GKE ignores an Ingress with spec.ingressClassName, because it has no IngressClass objects; Kiteway serves it.",
        f'Remove it, or use the annotation {keys.INGRESS_CLASS}: "{named}".',
        path,
    )


@functools.lru_cache(maxsize=256)  # A cluster may have thousands of Ingresses of few other classes.
def _meant(name: str, ours: str) -> str:
    """Return the class of ours or Google's that a name most likely means; empty for another controller's."""
    if name.lower() in _GOOGLE:
        return "gce"
    meant = closest(name, (ours, *GOOGLE_CLASSES), _CLASS_CUTOFF)
    # kiteway2 and kiteway-test are names that people give to a second instance.
    return "" if meant and name.startswith(meant) and not name[len(meant) :].isalpha() else meant


def _is_our_class(name: str, index: Index) -> bool:
    found = index.objects.get((IngressClass.KIND, "", name))
    return isinstance(found, IngressClass) and found.spec.controller == CONTROLLER
