"""Annotations without effect here: misspelt, on the wrong object, or another controller's."""

from __future__ import annotations

from kiteway.diagnostics import Severity
from kiteway.resources import Object
from kiteway.resources.foreign_annotations import Foreign, Loss, foreign
from kiteway.resources.near_annotations import near, read_on
from kiteway.resources.places import Path, quoted
from kiteway.translate.shared.context import Context

_MOST = 20
"""So many annotations of one object are named each for itself; an object may have thousands."""
_MOST_LISTED = 5
_OWN_PREFIX = "kiteway.io/"


def check_annotations(context: Context, about: Object, *, plaintext_backend: bool, http_open: bool = True) -> None:
    """
    Report the annotations of an Ingress or a Service that have no effect.

    Args:
        context: where they are reported.
        about: the Ingress or the Service.
        plaintext_backend: whether an endpoint behind it is spoken to without TLS.
        http_open: whether port 80 serves its hosts.
    """
    satisfied = {Loss.BACKEND_TLS: not plaintext_backend, Loss.REDIRECT: not http_open}
    lost: dict[Foreign, list[str]] = {}
    room = _MOST
    for key, value in sorted(about.metadata.annotations.items()):
        if room == 0:
            _more(context, about)
            break
        if _check_key(context, about, key):
            room -= 1
        elif (found := foreign(key, value)) is not None and not satisfied.get(found.loss):
            room -= found not in lost and found.loss is not Loss.TUNING
            lost.setdefault(found, []).append(key)
    for found, names in lost.items():
        _lost(context, about, names, found)


def _check_key(context: Context, about: Object, key: str) -> bool:
    """Report a key that is nearly one of ours, or on the wrong kind of object; return whether it is."""
    path: Path = ("metadata", "annotations", key)
    meant = near(key, about.kind)
    if meant is None:
        if not key.startswith(_OWN_PREFIX) or key in read_on(about.kind):
            return False
        context.warn(
            about,
            "AnnotationMisspelt",
            f"{quoted(key)} is no annotation of Kiteway.",
            "Correct it: docs/reference/annotations.md lists them; or remove it.",
            path,
        )
        return True
    other_kind = meant.kind != about.kind
    where = f" on the {meant.kind}" if other_kind else ""
    if meant.misspelt:
        message = f"{quoted(key)} is no annotation that Kiteway or GKE reads."
        context.warn(about, "AnnotationMisspelt", message, f"Did you mean {meant.meant}{where}?", path)
    else:
        message = f"{key} has no effect on {'an Ingress' if about.kind == 'Ingress' else f'a {about.kind}'}."
        fix = f"Move it to the {meant.kind}."
        context.warn(about, "AnnotationMisplaced", message, fix, path)
    return True


def _lost(context: Context, about: Object, names: list[str], found: Foreign) -> None:
    listed = ", ".join(names[:_MOST_LISTED])
    more = f" and {len(names) - _MOST_LISTED} more" if len(names) > _MOST_LISTED else ""
    read_by = f"{listed}{more}: read by {found.controller} and not by Kiteway"
    path: Path = ("metadata", "annotations", names[0])
    if found.loss is Loss.RESTRICTION:
        context.warn(about, "RestrictionIgnored", f"{read_by}: {found.effect}.", found.fix, path)
    elif found.loss is not Loss.TUNING:
        context.warn(about, "AnnotationIgnored", f"{read_by}: {found.effect}.", found.fix, path)
    else:
        message = f"{read_by}, which has its own limits and timeouts."
        context.report(about.diagnostic(Severity.NOTE, "AnnotationWithoutEffect", message, path=path))


def _more(context: Context, about: Object) -> None:
    context.warn(
        about,
        "AnnotationIgnored",
        f"more than {_MOST} annotations have no effect; the others are not listed.",
        "Correct or remove those that are listed first.",
        ("metadata", "annotations"),
    )
