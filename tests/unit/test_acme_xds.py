"""
Challenges as Envoy's routes and filter chains: for one name only, before all other routes, and removed
completely.
"""

from __future__ import annotations

import datetime as dt

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from josepy.jwk import JWKEC

from kiteway._proto.envoy.config.route.v3.route_components_pb2 import Route, RouteMatch, VirtualHost
from kiteway.acme.challenges import TLS_ALPN_01, to_show
from kiteway.diagnostics import ObjectRef
from kiteway.envoy.open_listeners import open_listeners
from kiteway.envoy.settings import EnvoySettings
from kiteway.envoy.xds.build import build
from kiteway.envoy.xds.challenges import tls_challenge_chains, with_challenges
from kiteway.envoy.xds.filter_chains import matcher
from kiteway.model import Challenge, HTTPChallenge, HTTPMode, ListenerProtocol, LoadBalancer, RedirectCode
from kiteway.model import VirtualHost as ModelHost
from tests.support.chains import names_of

HOST = "a.milvus.io"
CHALLENGE = HTTPChallenge(HOST, "token", "token.proof")
PATH = "/.well-known/acme-challenge/token"


def host(domain: str) -> VirtualHost:
    """Return a host with one route that says whose it is."""
    return VirtualHost(
        name=f"host/{domain}", domains=[domain], routes=[Route(name=domain, match=RouteMatch(prefix="/"))]
    )


def opened(hosts: list[ModelHost], *challenges: Challenge) -> list[ListenerProtocol]:
    """Return the listeners that are open."""
    model = LoadBalancer(hosts=tuple(hosts), challenges=challenges)
    return [listener.protocol for listener in open_listeners(model, EnvoySettings())]


def model_host(mode: HTTPMode) -> ModelHost:
    """Return a host of an Ingress."""
    code = RedirectCode.FOUND if mode is HTTPMode.REDIRECT else None
    return ModelHost(HOST, (), True, mode, ObjectRef("Ingress", "default", "a"), code)


@pytest.mark.parametrize(
    ("domains", "answering"),
    [
        ([HOST, "*.milvus.io", "*"], HOST),
        (["*.milvus.io", "*.io", "*"], "*.milvus.io"),
        (["*.io", "*"], "*.io"),
        (["b.milvus.io", "*"], "*"),
    ],
)
def test_the_challenge_comes_first_and_the_rest_stays(domains: list[str], answering: str) -> None:
    """The host that answers the name, its own or a wildcard or any, answers the challenge of that name before all else."""
    result = with_challenges(tuple(host(domain) for domain in domains), (CHALLENGE,))

    found = {each.domains[0]: each for each in result}
    challenge, *rest = found[answering].routes
    assert challenge.match.path == PATH
    [named] = challenge.match.headers
    assert (named.name, named.string_match.exact, named.string_match.ignore_case) == (":authority", HOST, True)
    assert challenge.direct_response.body.inline_string == "token.proof"
    assert rest == list(host(answering).routes)
    assert all(found[domain] == host(domain) for domain in domains if domain != answering)
    assert list(found) == domains


def test_challenges_below_a_wildcard_copy_nothing_of_it() -> None:
    """A hundred names below a wildcard of 500 routes take a hundred routes, not fifty thousand."""
    wildcard = host("*.milvus.io")
    wildcard.routes.extend(Route(name=f"{number}") for number in range(499))
    challenges = tuple(HTTPChallenge(f"n{number}.milvus.io", "token", "token.proof") for number in range(100))

    result = with_challenges((wildcard, host("*")), challenges)

    assert sum(len(each.routes) for each in result) == 500 + 100 + 1


def test_without_challenges_nothing_changes() -> None:
    """Without challenges the hosts do not change."""
    hosts = (host(HOST), host("*"))

    assert with_challenges(hosts, ()) == hosts


def test_several_challenges_of_one_name() -> None:
    """A retry may overlap with the attempt before: both tokens are answered."""
    second = HTTPChallenge(HOST, "other", "other.proof")

    (found,) = with_challenges((host(HOST),), (CHALLENGE, second))

    assert [route.match.path for route in found.routes[:2]] == [PATH, "/.well-known/acme-challenge/other"]


def test_port_80_opens_for_a_challenge_alone() -> None:
    """A closed port 80 opens for an HTTP-01 challenge, not for TLS-ALPN-01."""
    closed = [model_host(HTTPMode.OFF)]

    assert not opened(closed)
    assert opened(closed, CHALLENGE) == [ListenerProtocol.HTTP]
    assert opened([model_host(HTTPMode.REDIRECT)]) == [ListenerProtocol.HTTP]


def test_the_chain_of_a_tls_challenge() -> None:
    """It is chosen by the name and the protocol; its certificate comes by SDS and is published with it."""
    key = JWKEC(key=ec.generate_private_key(ec.SECP256R1()))
    challenge = to_show(TLS_ALPN_01, HOST, "token", key, dt.datetime.now(dt.UTC))

    (chain,) = tls_challenge_chains([challenge, CHALLENGE])
    messages = build(LoadBalancer(challenges=(challenge,)), EnvoySettings())

    by_protocol = matcher((), (challenge, CHALLENGE)).matcher_tree.exact_match_map.map
    assert list(by_protocol) == ["'acme-tls/1'"]
    assert names_of(by_protocol["'acme-tls/1'"].matcher) == {chain.name: [HOST]}
    assert "certificate/acme/a.milvus.io" in {message.name for message in messages}  # type: ignore[attr-defined]
