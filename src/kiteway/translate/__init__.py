"""
Resources -> model and diagnostics, purely.

A front end translates each object that claims hosts, such as an Ingress, into a `Unit`. The units are then merged onto the
shared listeners. `ingress` is a front end; front ends use `shared` and do not import each other.

A unit with errors keeps its last good form, as a failed sync on GKE leaves the load balancer unchanged. Its diagnostics are
those of the new form.
"""

from kiteway.translate.ingress.whole import judge_whole
from kiteway.translate.shared.context import Options
from kiteway.translate.shared.endpoints import Endpoints, resolve_endpoints
from kiteway.translate.shared.meant import with_meant
from kiteway.translate.translator import Result, Translated, Translator, translate

__all__ = [
    "Endpoints",
    "Options",
    "Result",
    "Translated",
    "Translator",
    "judge_whole",
    "resolve_endpoints",
    "translate",
    "with_meant",
]
