"""
Make before break: in which order the parts of one change may reach an Envoy that is serving.

Routes are not warmed: a request whose route names a cluster that is not there, or not yet warm, is answered 503.
So what is named goes first, then what names it, then what nothing names any more.
The source of the order is Envoy's "xDS REST and gRPC protocol", section "Eventual consistency considerations".
"""

from __future__ import annotations

import enum

from .snapshot import LISTENER, ROUTE


class Phase(enum.IntEnum):
    """A part of one change. It starts when the client has acknowledged, or rejected, all of the part before."""

    MAKE = 0
    """New and changed clusters, endpoints and secrets."""
    SWITCH = 1
    """Listeners (removals too: a new one may take over the address), new and changed routes."""
    BREAK = 2
    """Everything that is gone."""


def phase_of(type_url: str, *, removal: bool) -> Phase:
    """Return the first phase in which a change of a resource of this type may be sent."""
    if type_url == LISTENER:
        return Phase.SWITCH
    if removal:
        return Phase.BREAK
    return Phase.SWITCH if type_url == ROUTE else Phase.MAKE
