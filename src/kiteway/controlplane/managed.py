"""The ManagedCertificates among the resources, and whether Envoy has a challenge."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from kiteway.acme.wanted_certificate import WantedCertificate
from kiteway.envoy.ads import AdsServer
from kiteway.resources import Ingress, ManagedCertificate, Object
from kiteway.resources import annotations as keys
from kiteway.resources.schema import Violation
from kiteway.translate import Options
from kiteway.translate.ingress.classes import is_ours
from kiteway.translate.shared.context import Index

_CONVERGE_SECONDS = 20.0


def wanted(objects: Iterable[Object], options: Options) -> list[WantedCertificate]:
    """Return every ManagedCertificate, and whether an Ingress that Kiteway serves names it."""
    objects = tuple(objects)
    found = [managed for managed in objects if isinstance(managed, ManagedCertificate)]
    if not found:
        return []
    index = Index(objects)
    attached = {
        (ingress.ref.namespace, name)
        for ingress in objects
        if isinstance(ingress, Ingress) and is_ours(ingress, index, options)[0]
        for name in _names(ingress)
    }
    return [
        WantedCertificate(
            managed.ref,
            tuple(dict.fromkeys(managed.spec.domains)),
            attached=(managed.ref.namespace, managed.ref.name) in attached,
        )
        for managed in found
    ]


def _names(ingress: Ingress) -> tuple[str, ...]:
    names = keys.parse_names(ingress.metadata.annotations.get(keys.MANAGED_CERTIFICATES, ""))
    return () if isinstance(names, Violation) else tuple(names)


async def converged(ads: AdsServer) -> None:
    """
    Return when every connected Envoy has the published configuration.

    Raises:
        TimeoutError: one does not have it within 20 s, or none is connected.
    """
    async with asyncio.timeout(_CONVERGE_SECONDS):
        async for state in ads.changes():
            # A rejected resource counts as taken; the caller tests whether the challenge is really served.
            if state.streams and all(stream.converged for stream in state.streams):
                return
