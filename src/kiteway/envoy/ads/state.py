"""The state of the ADS server's clients, as values for `kiteway status`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from .rejection import Rejection


@dataclass(frozen=True, slots=True)
class RejectedAt:
    """A rejection and when it came (UTC)."""

    time: datetime
    rejection: Rejection


@dataclass(frozen=True, slots=True)
class StreamState:
    """
    One connected client.

    Attributes:
        node_id: the id in its bootstrap; empty until its first request.
        envoy_version: ``major.minor.patch``; empty when it does not say.
        connected_at: when its stream began (UTC).
        acknowledged: by type URL, the last version of all resources of the type that it accepted completely.
        rejected: by type URL, the versions by name that it rejects now (None: a removal).
        converged: whether it runs the newest snapshot, except for what it rejects.
        current: whether it has been offered the newest snapshot; if not, everything here is about an older one.
        clusters_sent: when the unanswered clusters were sent for which all else waits, in seconds of the event loop's clock;
            None when there are none.
        starting: whether it has not asked for listeners yet, because its first clusters are warming.
        clusters_answered: whether every clusters response is answered: none of them is warming.
        refusals: the rejections that hold against the snapshot it was offered last, oldest first.
        missing: by type URL, the listeners and route tables in use for which it has accepted no version.
        active: whether it has ever had a complete configuration: each listener and route table, in some version.
        bare: whether it came without any configuration.
    """

    node_id: str
    envoy_version: str
    connected_at: datetime
    acknowledged: Mapping[str, str]
    rejected: Mapping[str, Mapping[str, str | None]]
    converged: bool
    current: bool = True
    clusters_sent: float | None = None
    starting: bool = False
    clusters_answered: bool = True
    refusals: tuple[RejectedAt, ...] = ()
    missing: Mapping[str, Sequence[str]] = field(default_factory=dict)
    active: bool = False
    bare: bool = False


@dataclass(frozen=True, slots=True)
class AdsState:
    """
    The ADS server at one moment.

    Attributes:
        version: of the newest snapshot; empty before the first.
        streams: the connected clients, oldest first. An Envoy that reconnects may be there twice for a while.
        rejections: the newest rejections of all streams, closed ones included; oldest first.
        active: whether any client has, or had, a complete configuration (see `StreamState.active`).
    """

    version: str
    streams: tuple[StreamState, ...]
    rejections: tuple[RejectedAt, ...]
    active: bool
