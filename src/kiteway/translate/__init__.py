"""
Resources -> model and diagnostics, purely.

Each Ingress is translated alone into a `Unit` (what GKE would build a load balancer from), then the units are merged
onto the shared listeners. A unit that has errors keeps its last good form, as a failed sync on GKE leaves the load
balancer as it was; its diagnostics are the new ones.
"""

from kiteway.translate.context import Options
from kiteway.translate.endpoints import Endpoints, resolve_endpoints
from kiteway.translate.translator import Result, Translated, Translator, translate

__all__ = ["Endpoints", "Options", "Result", "Translated", "Translator", "resolve_endpoints", "translate"]
