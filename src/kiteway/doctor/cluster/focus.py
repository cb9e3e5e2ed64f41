"""Selects the objects of a namespace that belong to a Milvus release."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from kiteway.diagnostics import ObjectRef
from kiteway.resources import (
    BackendConfig,
    EndpointSlice,
    FrontendConfig,
    Ingress,
    ManagedCertificate,
    MilvusPolicy,
    Object,
    Secret,
    Service,
)
from kiteway.resources import annotations as keys
from kiteway.resources.schema import Violation
from kiteway.sources.kubernetes.named import secrets_named

INSTANCE_LABEL = "app.kubernetes.io/instance"
"""The label in which charts and operators put the release's name."""


def instances(objects: Iterable[Object]) -> tuple[str, ...]:
    """Return the releases that Services belong to."""
    return tuple(sorted({found for o in objects if isinstance(o, Service) and (found := _instance(o))}))


@dataclass(frozen=True, slots=True)
class Focus:
    """
    The objects of a release.

    Attributes:
        objects: those that can be read.
        refs: the same, and those that exist or are named but cannot be read.
    """

    objects: tuple[Object, ...]
    refs: frozenset[ObjectRef]


def focus(objects: Iterable[Object], release: str, failed: Iterable[ObjectRef] = ()) -> Focus:
    """
    Return what belongs to a release: its Services, the Ingresses that lead to them, and what those name.

    An Ingress that names a missing Service, and a ManagedCertificate that no Ingress names, count as the release's,
    because they may be the mistake to find.

    Args:
        objects: those of a namespace.
        release: its name.
        failed: objects that exist and cannot be read.
    """
    all_, unreadable = tuple(objects), set(failed)
    every = {o.ref for o in all_} | unreadable
    own = {o.ref for o in all_ if isinstance(o, Service) and _instance(o) == release}
    ingresses = [o for o in all_ if isinstance(o, Ingress)]
    leading = [i for i in ingresses if any(ref in own or ref not in every for ref in _services(i))]
    services = own | {ref for ingress in leading for ref in _services(ingress)}
    refs = {o.ref for o in leading} | services
    wanted = refs | _named(o for o in all_ if o.ref in refs)
    attached = {ref for ingress in ingresses for ref in _certificates(ingress)}
    kept = tuple(o for o in all_ if _belongs(o, wanted, services, attached) or _is_policy_of(o, wanted, every))
    # The release of an unreadable Ingress or Service is unknown.
    unknown = {ref for ref in unreadable if ref.kind in {Ingress.KIND, Service.KIND} or ref in wanted}
    return Focus(kept, frozenset({o.ref for o in kept} | unknown))


def _belongs(object_: Object, wanted: set[ObjectRef], services: set[ObjectRef], attached: set[ObjectRef]) -> bool:
    if isinstance(object_, EndpointSlice):
        return ObjectRef(Service.KIND, object_.metadata.namespace, object_.service_name) in services
    if isinstance(object_, ManagedCertificate) and object_.ref not in attached:
        return True
    return object_.ref in wanted or not object_.NAMESPACED


def _is_policy_of(object_: Object, wanted: set[ObjectRef], every: set[ObjectRef]) -> bool:
    """Return whether all targets of a policy are the release's, or missing."""
    if not isinstance(object_, MilvusPolicy):
        return False
    targets = [ObjectRef(t.kind.value, object_.ref.namespace, t.name) for t in object_.spec.target_refs]
    return all(target in wanted or target not in every for target in targets)


def _instance(service: Service) -> str:
    return service.metadata.labels.get(INSTANCE_LABEL) or service.spec.selector.get(INSTANCE_LABEL, "")


def _services(ingress: Ingress) -> set[ObjectRef]:
    paths = (path.backend for rule in ingress.spec.rules if rule.http for path in rule.http.paths)
    backends = (ingress.spec.default_backend, *paths)
    return {ObjectRef(Service.KIND, ingress.ref.namespace, b.service.name) for b in backends if b and b.service}


def _certificates(ingress: Ingress) -> set[ObjectRef]:
    names = keys.parse_names(ingress.metadata.annotations.get(keys.MANAGED_CERTIFICATES, ""))
    found = () if isinstance(names, Violation) else names
    return {ObjectRef(ManagedCertificate.KIND, ingress.ref.namespace, name) for name in found}


def _named(objects: Iterable[Object]) -> set[ObjectRef]:
    """Return the objects that Ingresses and Services name, except Services."""
    found: set[ObjectRef] = set()
    for object_ in objects:
        marks, namespace = object_.metadata.annotations, object_.metadata.namespace
        found |= {ObjectRef(Secret.KIND, *name) for name in secrets_named([object_])}
        if isinstance(object_, Ingress):
            found |= _certificates(object_)
            found.add(ObjectRef(FrontendConfig.KIND, namespace, marks.get(keys.FRONTEND_CONFIG, "")))
        reference = keys.parse_backend_config_ref(
            marks.get(keys.BACKEND_CONFIG, marks.get(keys.BACKEND_CONFIG_BETA, ""))
        )
        if not isinstance(reference, Violation):
            names = (reference.default, *reference.ports.values())
            found |= {ObjectRef(BackendConfig.KIND, namespace, name) for name in names}
    return found
