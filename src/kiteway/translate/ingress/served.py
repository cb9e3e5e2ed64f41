"""Whether anything is served at all."""

from __future__ import annotations

from collections.abc import Sequence

from kiteway.diagnostics import Diagnostic, Severity
from kiteway.model import LoadBalancer
from kiteway.resources import Ingress, Object


def nothing_served(objects: Sequence[Object], model: LoadBalancer) -> list[Diagnostic]:
    """Return a warning if the objects of a set of files define no host. A cluster is not checked for this."""
    if model.hosts or not objects:
        return []
    ingresses = [each for each in objects if isinstance(each, Ingress)]
    if not ingresses:
        what = f"any of the {len(objects)} objects" if len(objects) > 1 else "it"
        message, fix = f"no Ingress leads to {what}, so no host is served.", "Give the Ingress as well."
        return [objects[0].diagnostic(Severity.WARNING, "NothingServed", message, fix, ("metadata", "name"))]
    others = f", and {len(ingresses) - 1} more Ingresses are not either" if len(ingresses) > 1 else ""
    message = f"no host of it is served{others}: it is left out, or has no rule that can be used."
    fix = "Correct what else is said of it; the class kiteway, or none, is Kiteway's."
    return [ingresses[0].diagnostic(Severity.WARNING, "NothingServed", message, fix, ("metadata", "name"))]
