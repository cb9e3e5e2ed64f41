"""The units to which a rejection points, and the rejections that Envoy's own environment causes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

from kiteway.envoy.ads import CLUSTER, ENDPOINT, LISTENER, ROUTE, Rejection
from kiteway.envoy.xds.common import (
    GRPC_LISTENER,
    HTTP_LISTENER,
    HTTPS_LISTENER,
    bundle_name,
    grpc_cluster_name,
    own_routes_name,
    rest_cluster_name,
    secret_name,
    source_name,
)
from kiteway.envoy.xds.trial import NAME as TRIAL
from kiteway.translate.shared.unit import Unit

_MODULE: Final = r"(?:Failed to create filter config: )?Failed to (?:load|initialize) dynamic module"
_SURROUNDINGS: Final = {
    # Envoy quotes tenants' text, but in these two types never before this phrase, so no tenant can imitate one.
    LISTENER: re.compile(rf"^Error adding/updating listener\(s\) \S+: (?:cannot bind '|{_MODULE})"),
    CLUSTER: re.compile(rf"^Error adding/updating cluster\(s\) \S+: {_MODULE}"),
}
_SHARED_TABLES: Final = {HTTPS_LISTENER, HTTP_LISTENER, GRPC_LISTENER}
_WORD: Final = re.compile(r"[\w%*/.-]{4,64}")
_WORDS_FROM: Final = 1000
"""Characters of a message in which words are searched; each word is searched in every unit."""


def of_units(rejections: Iterable[Rejection]) -> list[Rejection]:
    """
    Return the rejections for which a unit may be to blame.

    No unit causes a rejection because of an address that cannot be bound or a module that cannot be loaded. Endpoints
    are not part of a unit, and bad ones affect their own cluster only.
    """
    return [r for r in rejections if r.type_url != ENDPOINT and not _of_surroundings(r)]


def _of_surroundings(rejection: Rejection) -> bool:
    pattern = _SURROUNDINGS.get(rejection.type_url)
    return pattern is not None and pattern.match(rejection.message) is not None


def named(rejection: Rejection, units: Sequence[Unit]) -> list[Unit]:
    """
    Return the units to which a rejection points: by their own resource, by a name, or by a word that few units contain.

    This is a hint that saves time: a named unit is tried after the others, and blamed only if Envoy rejects it without
    them.
    """
    about = set(rejection.resources if rejection.certain else rejection.named)
    found = [unit for unit in units if not about.isdisjoint(resources(unit)) or _speaks_of(rejection.message, unit)]
    return found or _with_its_words(rejection.message, units)


def shared(rejection: Rejection) -> bool:
    """Return whether a rejection is about something that all Ingresses share."""
    if rejection.type_url == ROUTE:
        return not _SHARED_TABLES.isdisjoint(rejection.resources)
    return rejection.type_url == LISTENER


def of_trial(rejection: Rejection) -> bool:
    """Return whether a rejection is about the tables in which units are tried apart from others."""
    return rejection.type_url == ROUTE and all(name.startswith(f"{TRIAL}/") for name in rejection.resources)


def resources(unit: Unit) -> set[str]:
    """Return the names of the resources that are a unit's own; they are distinct across types."""
    keys = [pool.key for pool in unit.pools]
    shown = [pool.tls.client_certificate for pool in unit.pools]
    authorities = [pool.tls.ca for pool in unit.pools] + [unit.client_auth.ca if unit.client_auth else None]
    certificates = [*unit.certificates, *(certificate for certificate in shown if certificate is not None)]
    return {
        *map(grpc_cluster_name, keys),
        *map(rest_cluster_name, keys),
        *(secret_name(certificate.name) for certificate in certificates),
        *(bundle_name(authority.source) for authority in authorities if authority is not None),
        *(own_routes_name(claim.domain) for claim in unit.hosts),
    }


def _speaks_of(message: str, unit: Unit) -> bool:
    """Return whether a message names a unit's Ingress (as its virtual hosts and routes do), a host or a certificate name."""
    if f"{source_name(unit.ref)}/" in message:
        return True
    # Envoy compares hosts in lower case, and quotes them so: of two units whose hosts differ in case, it means both.
    message = message.lower()
    names = {name.lower() for name in _names(unit)}
    return any(
        name in message and re.search(rf"(?<![\w.*-]){re.escape(name)}(?![\w.-])", message) for name in names - {"*"}
    )


def _names(unit: Unit) -> set[str]:
    return {claim.domain for claim in unit.hosts} | {name for c in unit.certificates for name in c.names}


def _with_its_words(message: str, units: Sequence[Unit]) -> list[Unit]:
    """Return the units that contain the rarest of a message's words, if these are fewer than half."""
    texts = [str((unit.hosts, unit.pools, unit.client_auth)) for unit in units]
    rarest = list(range(len(units)))
    for word in dict.fromkeys(_WORD.findall(message[:_WORDS_FROM])):
        holding = [number for number, text in enumerate(texts) if word in text]
        if holding and len(holding) < len(rarest):
            rarest = holding
    return [units[number] for number in rarest] if 2 * len(rarest) < len(units) else []
