"""Google's Events that mean something particular."""

from __future__ import annotations

from kiteway.doctor.cluster.facts import Event

_FIREWALL = "Firewall change required by security admin"
_STATIC_IP = "doesn't translate to an existing static IP"


def is_firewall(event: Event) -> bool:
    """Tell whether a firewall rule is missing in a Shared VPC; older controllers say it as a normal ``Sync``."""
    return event.reason == "XPN" or _FIREWALL in event.message


def is_static_ip(event: Event) -> bool:
    """Tell whether the reserved address that an Ingress names is not there."""
    return event.warning and _STATIC_IP in event.message
