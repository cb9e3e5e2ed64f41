"""The configuration that Envoy was offered, and what it did not accept."""

from __future__ import annotations

import datetime as dt

import msgspec


class RejectionReport(msgspec.Struct, frozen=True):
    """
    A rejection (NACK).

    Attributes:
        at: when.
        type: the type of the resources, for example `RouteConfiguration`.
        resources: their names.
        message: Envoy's sentence.
    """

    at: dt.datetime
    type: str
    resources: tuple[str, ...]
    message: str


class QuarantineReport(msgspec.Struct, frozen=True):
    """
    An Ingress whose newest version is in quarantine.

    Attributes:
        object: KIND NAMESPACE/NAME.
        message: Envoy's sentence; empty while it is not known whether this Ingress caused the rejection.
        since: when it was found to be the cause; null while that is not known.
        served: whether the last version that Envoy accepted is served.
    """

    object: str
    message: str
    since: dt.datetime | None
    served: bool


class ConfigurationReport(msgspec.Struct, frozen=True):
    """
    The configuration.

    Attributes:
        version: a hash of its content.
        rejections: what Envoy rejects now.
        quarantine: the Ingresses in quarantine.
        retained: KIND NAMESPACE/NAME of the objects with errors whose last good version is served.
    """

    version: str = ""
    rejections: tuple[RejectionReport, ...] = ()
    quarantine: tuple[QuarantineReport, ...] = ()
    retained: tuple[str, ...] = ()
