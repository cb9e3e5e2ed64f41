"""
Make before break: the order in which the parts of one change are sent to an Envoy that serves calls.

Envoy does not warm routes: a request whose route names a cluster that is missing or still warming is answered 503.
So resources are sent before those that refer to them, and removed after.
The source of the order is Envoy's "xDS REST and gRPC protocol", section "Eventual consistency considerations".
"""

from __future__ import annotations

import enum

from .snapshot import LISTENER, ROUTE


class Phase(enum.IntEnum):
    """A part of one change. It starts when the client has accepted or rejected all of the part before."""

    MAKE = 0
    """New and changed clusters, endpoints and secrets."""
    SWITCH = 1
    """Listeners (removals too: a new one may take over the address), new and changed routes."""
    BREAK = 2
    """All other removals."""


def phase_of(type_url: str, *, removal: bool) -> Phase:
    """Return the first phase in which a change of a resource of this type may be sent."""
    if type_url == LISTENER:
        return Phase.SWITCH
    if removal:
        return Phase.BREAK
    return Phase.SWITCH if type_url == ROUTE else Phase.MAKE
