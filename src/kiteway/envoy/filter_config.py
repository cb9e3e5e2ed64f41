"""
The configurations of Kiteway's filter in Envoy, as the filter reads them.

The Rust side is ``filter/core/src/config.rs`` and ``listener/route.rs``; ``filter/testdata/configuration.json`` has the
cases that hold for both.
"""

from __future__ import annotations

import enum
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType


class Mode(enum.StrEnum):
    """Where in Envoy the filter sits, hence what it does."""

    DOWNSTREAM = "downstream"
    """In a listener: once per request of a client whose route turns the filter on."""
    UPSTREAM = "upstream"
    """In a cluster that serves gRPC: once per attempt at an endpoint."""
    REST_UPSTREAM = "rest-upstream"
    """In a cluster that serves REST."""


class FilterConfig(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """
    The configuration of the filter in one chain.

    Attributes:
        mode: where the chain is.
        log: whether the access log gets what the messages of a call say; only upstream, where they are read.
    """

    mode: Mode
    log: bool = False

    def json(self) -> str:
        """Return the text that the filter reads; equal values give equal texts."""
        return msgspec.json.encode(self).decode()


class RouteConfig(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """
    What a route says to the filter in the listener: parts that do not depend on each other.

    Attributes:
        answer: the route leads nowhere, and the filter answers `Connect` with this sentence; ``{host}`` and ``{path}``
            stand for those of the request.
        log_rate: the share of the route's requests that the access log gets, 0 to 1; all of them if it is not set.
    """

    answer: str | UnsetType = UNSET
    log_rate: Annotated[float, Meta(ge=0, le=1)] | UnsetType = UNSET

    def json(self) -> str:
        """Return the text that the filter reads; equal values give equal texts."""
        return msgspec.json.encode(self).decode()
