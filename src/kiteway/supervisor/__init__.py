"""
The supervisor: the parent of the other processes.

It starts the control plane, Envoy and the web page, restarts each when it ends, and stops them after a drain. It imports little, as it
must stay when everything else fails.
"""

from kiteway.supervisor.child import ChildSpec
from kiteway.supervisor.children import controlplane_child, dashboard_child, envoy_child
from kiteway.supervisor.keeper import ChildEvent
from kiteway.supervisor.lifecycle import run
from kiteway.supervisor.ready import NotReadyError, wait_ready
from kiteway.supervisor.state import read_state

__all__ = [
    "ChildEvent",
    "ChildSpec",
    "NotReadyError",
    "controlplane_child",
    "dashboard_child",
    "envoy_child",
    "read_state",
    "run",
    "wait_ready",
]
