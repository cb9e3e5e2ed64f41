"""The addresses at which clients reach Kiteway; they become the Ingresses' addresses."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from kiteway.diagnostics import Diagnostic, Severity

Address = Mapping[str, str]
"""An entry of ``status.loadBalancer.ingress``: ``ip`` or ``hostname``."""


def address(text: str) -> Address:
    """Return an address or a name as an entry."""
    try:
        return {"ip": str(ipaddress.ip_address(text))}
    except ValueError:
        return {"hostname": text}


class PublishedService:
    """The addresses of one Service: those of its load balancer, else its external addresses, else its own."""

    def __init__(self, notify: Callable[[], None]) -> None:
        self.addresses: tuple[Address, ...] = ()
        self._notify = notify
        self._exists = False

    def replace(self, objects: Iterable[dict[str, Any]]) -> None:
        """Take the collection, which holds only the Service."""
        found = list(objects)
        if not found:
            self.drop({})
        for object_ in found:
            self.put(object_)

    def put(self, object_: dict[str, Any]) -> None:
        """Take the Service."""
        spec = object_.get("spec") or {}
        entries = ((object_.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ()
        found = [{key: entry[key]} for entry in entries for key in ("ip", "hostname") if entry.get(key)]
        if not found and spec.get("type") != "LoadBalancer":
            own = [spec["clusterIP"]] if spec.get("clusterIP") not in {None, "", "None"} else []
            found = [dict(address(text)) for text in spec.get("externalIPs") or own]
        self._exists = True
        self._set(tuple(found))

    def why_none(self, name: str) -> Diagnostic:
        """Return why Ingresses get no address; ``name`` is the Service's ``namespace/name``."""
        if not self._exists:
            message, fix = "does not exist", "Correct the name in --publish-service, or give --publish-address."
        else:
            message = "has no address of a load balancer yet"
            fix = (
                "`kubectl describe service` shows what it waits for. In a cluster without load balancers give the Service the "
                "type NodePort, or Kiteway --publish-address."
            )
        return Diagnostic(
            Severity.WARNING,
            "NoAddressPublished",
            f"the Service {name}, whose addresses Ingresses get, {message}: their ADDRESS stays empty.",
            fix,
        )

    def drop(self, object_: dict[str, Any]) -> None:  # noqa: ARG002 - a Sink
        """Forget the Service."""
        self._exists = False
        self._set(())

    def _set(self, addresses: tuple[Address, ...]) -> None:
        if addresses != self.addresses:
            self.addresses = addresses
            self._notify()
