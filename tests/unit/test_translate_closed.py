"""Without a certificate no client reaches a host that requires one, whatever else the manifests contain."""

from __future__ import annotations

import base64
import copy
import datetime as dt
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import hypothesis.strategies as st
import pytest
from google.protobuf.message import Message
from hypothesis import example, given
from hypothesis.strategies import DrawFn

from kiteway._proto.envoy.config.listener.v3.listener_pb2 import Listener
from kiteway._proto.envoy.config.route.v3.route_components_pb2 import Route, VirtualHost
from kiteway._proto.envoy.config.route.v3.route_pb2 import RouteConfiguration
from kiteway._proto.envoy.extensions.filters.network.http_connection_manager.v3 import (
    http_connection_manager_pb2 as hcm,
)
from kiteway._proto.envoy.extensions.transport_sockets.tls.v3.tls_pb2 import DownstreamTlsContext
from kiteway.certificates.create import create_authority, create_self_signed
from kiteway.envoy.settings import EnvoySettings
from kiteway.envoy.xds.build import build
from kiteway.resources import annotations as keys
from kiteway.resources import load_object
from kiteway.translate import Options, Result, Translator
from tests.support.examples import examples
from tests.support.manifests import Manifest, frontend_config, ingress, path, rule, secret, service

NOW = dt.datetime(2026, 12, 1, tzinfo=dt.UTC)
SETTINGS = EnvoySettings(http_port=8080, grpc_port=19530)
HOSTS = ("a.example.com", "*.example.com", None)
PAIR = create_self_signed(["a.example.com", "*.example.com"])
CA = create_authority("Clients").certificate


def guarded(manifest: Manifest, **notes: str | None) -> Manifest:
    """Return a manifest with annotations; those that are None are left out."""
    found: dict[str, Any] = copy.deepcopy(dict(manifest))
    found["metadata"]["annotations"] |= {key: value for key, value in notes.items() if value is not None}
    return found


def ca_secret(name: str = "clients", content: bytes = CA) -> Manifest:
    """Return a Secret with the CA of clients."""
    data = {"ca.crt": base64.b64encode(content).decode()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": "default"}, "data": data}


def rounds(*worlds: Sequence[Manifest]) -> Result:
    """Translate one world after the other with the same translator, and return what the last came to."""
    translator = Translator()
    for manifests in worlds:
        found = [load_object(copy.deepcopy(dict(manifest))) for manifest in manifests]
        failed = [ref for one in found for ref in one.refused]
        result = translator.translate([o for one in found for o in one.objects], Options(), NOW, failed)
    return result


def required(manifest: Manifest) -> bool:
    """Tell whether an Ingress asks its clients for certificates, in a way that does not say `optional`."""
    notes = manifest["metadata"]["annotations"]
    return (keys.CLIENT_CA in notes or keys.CLIENT_CERTIFICATE in notes) and notes.get(
        keys.CLIENT_CERTIFICATE
    ) != "optional"


def ways_in(messages: Iterable[Message], domain: str) -> Iterator[str]:
    """Yield the ways by which a client without a certificate gets a request for ``domain`` to an endpoint."""
    host = domain.replace("*", "x") if domain != "*" else "other.test"
    messages = list(messages)
    tables = {m.name: m for m in messages if isinstance(m, RouteConfiguration)}
    for listener in (m for m in messages if isinstance(m, Listener)):
        for chain in (*listener.filter_chains, listener.default_filter_chain):
            manager, context = hcm.HttpConnectionManager(), DownstreamTlsContext()
            if not chain.filters:
                continue
            chain.filters[0].typed_config.Unpack(manager)
            chain.transport_socket.typed_config.Unpack(context)
            asks = context.require_client_certificate.value and context.common_tls_context.validation_context.trusted_ca
            if not asks and any(
                forwards(route, host) for route in routes_of(tables[manager.rds.route_config_name], host)
            ):
                yield f"{listener.name} {chain.name}"


def routes_of(table: RouteConfiguration, host: str) -> Sequence[Route]:
    """Return the routes of the virtual host that Envoy chooses: by name, by the longest wildcard, or the last resort."""

    def rank(virtual: VirtualHost) -> int:
        [domain] = virtual.domains
        if domain == host:
            return 1000
        return len(domain) if domain == "*" or host.endswith(domain.removeprefix("*")) else -1

    found = max(table.virtual_hosts, key=rank)
    return found.routes if rank(found) > 0 else []


def forwards(route: Route, host: str) -> bool:
    """Tell whether a route leads to a cluster, for this host."""
    return route.HasField("route") and all(
        (re.fullmatch(m.string_match.safe_regex.regex, host) is not None) != m.invert_match
        for m in route.match.headers
        if m.name == ":authority"
    )


_CLIENT_CA = st.sampled_from([None, None, "", "clients", "gone", "broken"])
_MODE = st.sampled_from([None, None, None, "required", "optional", "Required", ""])


@st.composite
def worlds(draw: DrawFn) -> list[Manifest]:
    """Draw two Ingresses in one namespace, and the objects they name, any of which may be missing."""
    found: list[Manifest] = []
    for name in ("one", "two"):
        notes = {keys.CLIENT_CA: draw(_CLIENT_CA), keys.CLIENT_CERTIFICATE: draw(_MODE)}
        notes[keys.ALLOW_HTTP] = draw(st.sampled_from([None, "true", "false", "no"]))
        notes[keys.FRONTEND_CONFIG] = draw(st.sampled_from([None, "redirect", "plain", "gone"]))
        # Without a rule it could not be read at all: its last good form is in force, whatever is asked for now.
        chosen = draw(st.lists(st.sampled_from(HOSTS), min_size=1, max_size=2, unique=True))
        backends = st.sampled_from(["milvus", "gone"])
        made = ingress(
            *(rule(host, path("/", draw(backends))) for host in chosen),
            name=name,
            tls=draw(st.lists(st.sampled_from(["tls", "gone"]), max_size=1)),
            default=draw(st.none() | backends),
        )
        found.append(guarded(made, **notes))
    others: list[Callable[[], Manifest]] = [
        service,
        lambda: secret("tls", PAIR),
        ca_secret,
        lambda: ca_secret("broken", b"no certificate"),
        lambda: frontend_config("redirect", redirectToHttps={"enabled": True}),
        lambda: frontend_config("plain", redirectToHttps={"enabled": False}),
    ]
    return [*found, *(make() for make in others if draw(st.integers(0, 4)))]


BEFORE = [ingress(rule("a.example.com"), name="one", tls=["tls"]), service(), secret("tls", PAIR)]
"""An Ingress that asks for no certificate, in order."""


def asking(notes: dict[str, str], *, tls: bool = False, frontend: str | None = None) -> list[Manifest]:
    """Return the same Ingress, which now asks for certificates."""
    more: dict[str, str] = {"frontend": frontend} if frontend else {}
    made = ingress(rule("a.example.com"), name="one", tls=["tls"] if tls else [], **more)
    return [
        guarded(made, **notes),
        *BEFORE[1:],
        ca_secret(),
        frontend_config("redirect", redirectToHttps={"enabled": True}),
    ]


@given(worlds(), worlds())
@examples(150)
@example([], asking({keys.CLIENT_CA: "clients"}, frontend="redirect")).via("a redirect to an HTTPS that is not there")
@example([], asking({keys.CLIENT_CA: "gone"})).via("the plaintext gRPC port, while the CA is missing")
@example([], asking({keys.CLIENT_CA: ""})).via("no name")
@example(BEFORE, asking({keys.CLIENT_CA: "gone"}, tls=True)).via("the last good form, from before")
@example(BEFORE, asking({keys.CLIENT_CA: "clients", keys.CLIENT_CERTIFICATE: "Required"}, tls=True)).via("likewise")
def test_no_client_without_a_certificate_reaches_a_host_that_requires_one(
    before: list[Manifest], now: list[Manifest]
) -> None:
    """This holds on every port, with any objects missing or broken, and whatever was in force before."""
    result = rounds(before, now)
    asks = {m["metadata"]["name"] for m in now if m["kind"] == "Ingress" and required(m)}
    messages = build(result.model, SETTINGS)
    for host in result.model.hosts:
        if host.source.name in asks:
            assert list(ways_in(messages, host.domain)) == []


def test_ways_in_are_found() -> None:
    """A host that requires no certificate is reachable on each port, so the test can find a way in."""
    messages = build(rounds(BEFORE).model, SETTINGS)
    assert {way.partition(" ")[0] for way in ways_in(messages, "a.example.com")} == {"https", "http", "grpc"}


def test_the_retained_form_asks_for_the_certificates_of_now() -> None:
    """
    An Ingress that now requires certificates and has another error serves its last good form only to clients
    with one.
    """
    bad = [
        guarded(
            ingress(rule("a.example.com", path("/", "gone")), name="one", tls=["tls"]), **{keys.CLIENT_CA: "clients"}
        )
    ]
    result = rounds(BEFORE, [*bad, *BEFORE[1:], ca_secret()])
    assert [ref.name for ref in result.retained] == ["one"]
    [host] = result.model.hosts
    assert (host.https, host.own_connections, [r.pool is None for r in host.routes]) == (True, True, [False])


@pytest.mark.parametrize(
    "key", [keys.BACKEND_CA, keys.BACKEND_SERVER_NAME, keys.BACKEND_CLIENT_CERTIFICATE, keys.CLIENT_CA]
)
def test_an_empty_name_is_a_mistake(key: str) -> None:
    """An annotation about trust with an empty name is an error, and does not count as missing."""
    where = guarded(service(protocol="HTTP2"), **{key: ""}), BEFORE[0]
    if key == keys.CLIENT_CA:
        where = service(protocol="HTTP2"), guarded(BEFORE[0], **{key: ""})
    result = rounds([*where, secret("tls", PAIR)])
    assert [d.severity.name for d in result.diagnostics].count("ERROR") == 1
    [host] = result.model.hosts
    assert host.routes[0].pool is None or not (host.https or host.http != "off")


def test_plaintext_is_closed_while_the_frontend_config_is_missing() -> None:
    """The FrontendConfig decides about port 80; with HTTPS, port 80 is off until the FrontendConfig can be read."""
    missing = ingress(rule("a.example.com"), name="one", tls=["tls"], frontend="gone")
    result = rounds([missing, *BEFORE[1:]])
    assert [(host.https, str(host.http)) for host in result.model.hosts] == [(True, "off")]
