"""A second front end claims hosts beside Ingresses, without a change to the front end for Ingresses."""

from __future__ import annotations

import dataclasses
import datetime as dt
from dataclasses import dataclass
from typing import ClassVar

import pytest

from kiteway.diagnostics import Diagnostic, Severity
from kiteway.model import HTTPMode, Route
from kiteway.resources import Ingress, Object, ObjectMeta, load_object
from kiteway.resources.rules import dns_subdomain
from kiteway.resources.schema import Rule
from kiteway.translate import Options, Result, translate
from kiteway.translate.ingress.front_end import INGRESS
from kiteway.translate.shared.backends import backend_of
from kiteway.translate.shared.context import Context, Index
from kiteway.translate.shared.front_end import FrontEnd
from kiteway.translate.shared.limits import NamespaceLimits
from kiteway.translate.shared.namespaces import Asked
from kiteway.translate.shared.routes import EVERYTHING
from kiteway.translate.shared.unit import Claimant, HostClaim, Unit
from tests.support.manifests import Manifest, ingress, rule, service

NOW = dt.datetime(2026, 12, 1, tzinfo=dt.UTC)
OLD, NEW = "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"
HOST = "milvus.example.com"


@dataclass(frozen=True, slots=True, kw_only=True)
class HostRoute(Object):
    """Stands for a kind of another API: its hosts go to the Service ``milvus``."""

    KIND: ClassVar[str] = "HostRoute"
    API_VERSIONS: ClassVar[tuple[str, ...]] = ("test.example.com/v1",)
    UNKNOWN_FIELD: ClassVar[Severity] = Severity.WARNING
    NAME_RULE: ClassVar[Rule] = dns_subdomain

    hostnames: tuple[str, ...]


def host_route(*hostnames: str, name: str = "milvus", created: str | None = None) -> HostRoute:
    """Return such an object in the namespace ``default``."""
    born = dt.datetime.fromisoformat(created) if created else None
    metadata = ObjectMeta(name=name, namespace="default", creation_timestamp=born)
    return HostRoute(metadata=metadata, api_version="test.example.com/v1", hostnames=hostnames)


def _is_ours(owner: HostRoute, index: Index, options: Options) -> tuple[bool, Diagnostic | None]:
    return True, None


def _asked(owner: HostRoute) -> Asked:
    return Asked(len(owner.hostnames), len(owner.hostnames))


def _translate(owner: HostRoute, index: Index, options: Options) -> Unit:
    context = Context(owner, index, options, for_gke=False)
    backend = backend_of(context, "milvus", 19530, at_name=("spec", "service"), at_port=("spec", "port"))
    routes = (Route(match=EVERYTHING, pool=backend.pool.key if backend else None, source=owner.ref),)
    return Unit(
        owner=owner,
        hosts=tuple(
            HostClaim(host, routes, Claimant(owner.ref, ("spec", "hostnames", number)))
            for number, host in enumerate(owner.hostnames)
        ),
        pools=tuple(context.pools.values()),
        certificates=(),
        http=HTTPMode.SERVE,
        redirect_code=None,
        profile=None,
        diagnostics=tuple(context.diagnostics),
        dependencies=tuple(context.dependencies),
    )


@pytest.fixture(autouse=True)
def two_front_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """List the second front end beside that of Ingresses."""
    front_ends = {"Ingress": INGRESS, "HostRoute": FrontEnd(HostRoute, _is_ours, _asked, _translate)}
    monkeypatch.setattr("kiteway.translate.translator.FRONT_ENDS", front_ends)


def translated(*objects: Object | Manifest, limits: NamespaceLimits | None = None) -> Result:
    """Translate ``objects`` and the Service ``milvus``."""
    options = Options(namespace_limits=limits or NamespaceLimits())
    found = [
        o
        for each in (service(), *objects)
        for o in ([each] if isinstance(each, Object) else load_object(dict(each)).objects)
    ]
    return translate(found, options, NOW)


def errors(result: Result) -> list[Diagnostic]:
    """Return the diagnostics that are errors."""
    return [d for d in result.diagnostics if d.severity is Severity.ERROR]


def test_its_hosts_are_served() -> None:
    """A host of the second front end goes to the same pool as one of an Ingress."""
    result = translated(ingress(rule(HOST)), host_route("other.example.com"))
    assert {str(host.source): host.domain for host in result.model.hosts} == {
        "Ingress default/milvus": HOST,
        "HostRoute default/milvus": "other.example.com",
    }
    assert len({route.pool for host in result.model.hosts for route in host.routes}) == 1
    assert errors(result) == []


def test_an_older_claim_of_the_second_front_end_holds() -> None:
    """The Ingress that loses its host is told the object and the field that hold it."""
    result = translated(ingress(rule(HOST), created=NEW), host_route("a.example.com", HOST, created=OLD))
    (conflict,) = errors(result)
    assert (conflict.reason, str(conflict.object), conflict.path) == (
        "HostConflict",
        "Ingress default/milvus",
        "spec.rules[0].host",
    )
    assert "HostRoute default/milvus (spec.hostnames[1])" in conflict.message
    assert {host.source.kind for host in result.model.hosts} == {"HostRoute"}


def test_an_older_ingress_holds() -> None:
    """The object of the second front end is told the Ingress and the field that hold its host."""
    result = translated(ingress(rule("a.example.com"), rule(HOST), created=OLD), host_route(HOST, created=NEW))
    (conflict,) = errors(result)
    assert (conflict.reason, str(conflict.object), conflict.path) == (
        "HostConflict",
        "HostRoute default/milvus",
        "spec.hostnames[0]",
    )
    assert "Ingress default/milvus (spec.rules[1].host)" in conflict.message
    assert {host.source.kind for host in result.model.hosts} == {"Ingress"}


def test_of_the_same_age_and_name_the_kind_decides() -> None:
    """Which of two holds a host depends on no order of the objects."""
    one, two = load_object(dict(ingress(rule(HOST)))).objects[0], host_route(HOST)
    assert translated(one, two).model == translated(two, one).model
    assert isinstance(one, Ingress)


def test_a_namespace_has_one_limit_for_all_front_ends() -> None:
    """Hosts of all front ends count together; the newest object is the one that is refused."""
    limits = dataclasses.replace(NamespaceLimits(), hosts=2)
    result = translated(
        ingress(rule(HOST), rule("a.example.com"), created=OLD), host_route("b.example.com", created=NEW), limits=limits
    )
    (refused,) = errors(result)
    assert (refused.reason, str(refused.object)) == ("NamespaceLimit", "HostRoute default/milvus")
    assert "with this HostRoute the namespace default would have 3 hosts" in refused.message
