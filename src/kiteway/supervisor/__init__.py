"""
The process that owns the others.

It starts the control plane and Envoy, restarts the one that dies, and ends both after a drain. It imports little: it
stays when everything else fails.
"""

from kiteway.supervisor.child import ChildSpec
from kiteway.supervisor.children import controlplane_child, envoy_child
from kiteway.supervisor.keeper import Event
from kiteway.supervisor.lifecycle import run
from kiteway.supervisor.ready import NotReadyError, wait_ready
from kiteway.supervisor.state import ChildState, SupervisorState, read_state

__all__ = [
    "ChildSpec",
    "ChildState",
    "Event",
    "NotReadyError",
    "SupervisorState",
    "controlplane_child",
    "envoy_child",
    "read_state",
    "run",
    "wait_ready",
]
