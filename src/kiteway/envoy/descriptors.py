"""How the file descriptors that a process may open are divided."""

from __future__ import annotations

import resource
from dataclasses import dataclass

_OTHER = 256
"""Descriptors for listeners, logs, the admin API, xDS and the filter."""
_CHECKS = 2
"""Connections that check the health of an endpoint: one of its cluster for gRPC, one of that for REST."""


@dataclass(frozen=True, slots=True)
class Descriptors:
    """
    What Envoy may have at most, so that a socket is never refused: Envoy ends with SIGSEGV when a health check gets none.

    Attributes:
        connections: of clients; each may need a second one, to Milvus.
        endpoints: of all pools.
        draining: endpoints that were removed and drain.
    """

    connections: int
    endpoints: int
    draining: int

    @classmethod
    def of(cls, number: int) -> Descriptors:
        """
        Divide ``number`` descriptors.

        Half is for connections of clients with those to Milvus, two fifths for endpoints, a tenth for endpoints that drain.
        """
        number = max(0, number - _OTHER)
        return cls(number // 4, number * 2 // 5 // _CHECKS, number // 10 // _CHECKS)

    @classmethod
    def of_this_process(cls) -> Descriptors | None:
        """Divide the hard limit, to which the supervisor raises the soft one; None when there is no limit."""
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        return None if hard == resource.RLIM_INFINITY else cls.of(hard)
