"""Google's Events that rules recognise."""

from __future__ import annotations

from kiteway.doctor.cluster.facts import KubernetesEvent

_FIREWALL = "Firewall change required by security admin"
_STATIC_IP = "doesn't translate to an existing static IP"


def is_firewall(event: KubernetesEvent) -> bool:
    """Return whether an Event reports a missing firewall rule in a Shared VPC; older controllers report it as ``Sync``."""
    return event.reason == "XPN" or _FIREWALL in event.message


def is_static_ip(event: KubernetesEvent) -> bool:
    """Return whether an Event reports that an Ingress's reserved address does not exist."""
    return event.warning and _STATIC_IP in event.message
