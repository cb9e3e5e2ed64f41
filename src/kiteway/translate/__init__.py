"""
Resources -> model and diagnostics, purely.

Each object that claims hosts (an Ingress) is translated by its front end alone into a `Unit`, then the units are merged
onto the shared listeners. `ingress` is such a front end; front ends share `shared` and do not import each other. A unit that has errors keeps its last good form, as a failed sync on GKE leaves the load
balancer as it was; its diagnostics are the new ones.
"""

from kiteway.translate.shared.context import Options
from kiteway.translate.shared.endpoints import Endpoints, resolve_endpoints
from kiteway.translate.translator import Result, Translated, Translator, translate

__all__ = ["Endpoints", "Options", "Result", "Translated", "Translator", "resolve_endpoints", "translate"]
