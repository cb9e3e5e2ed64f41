"""
The filter chains of the HTTPS listener, and the matcher that chooses one of them by SNI.

Hosts with the same certificates and the same rules for clients share a filter chain. Envoy hashes the whole content of every
filter chain three times at each change of the listener, and a chain has some 440 fields, most of them in the answers of
`local_replies`. A name in the matcher costs next to nothing. A host that comes or goes changes the matcher alone, which
drains no connection (Envoy's "Matching Filter Chains in Listeners").
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from google.protobuf.message import Message
from google.protobuf.wrappers_pb2 import StringValue

from kiteway._proto.envoy.config.core.v3.base_pb2 import TransportSocket
from kiteway._proto.envoy.config.listener.v3.listener_components_pb2 import Filter, FilterChain
from kiteway._proto.envoy.extensions.matching.common_inputs.network.v3.network_inputs_pb2 import (
    ApplicationProtocolInput,
    ServerNameInput,
)
from kiteway._proto.envoy.extensions.transport_sockets.tls.v3.common_pb2 import TlsParameters as TLSParameters
from kiteway._proto.envoy.extensions.transport_sockets.tls.v3.secret_pb2 import SdsSecretConfig
from kiteway._proto.envoy.extensions.transport_sockets.tls.v3.tls_pb2 import CommonTlsContext, DownstreamTlsContext
from kiteway._proto.xds.core.v3.extension_pb2 import TypedExtensionConfig
from kiteway._proto.xds.type.matcher.v3.domain_pb2 import ServerNameMatcher
from kiteway._proto.xds.type.matcher.v3.matcher_pb2 import Matcher
from kiteway.diagnostics import ObjectRef
from kiteway.envoy.settings import EnvoySettings
from kiteway.envoy.xds.challenges import ALPN_PROTOCOL, challenge_chain_name
from kiteway.envoy.xds.common import HTTPS_LISTENER, ads, bundle_name, own_routes_name, pack, seconds, secret_name
from kiteway.envoy.xds.connection_manager import Paths, connection_manager
from kiteway.model import Challenge, ServerNames, TLSChallenge, TLSProfile


class Alike(NamedTuple):
    """
    What the names of one filter chain have in common.

    Attributes:
        certificates: the certificates that are served.
        profile: the TLS profile.
        ca: the Secret with the CAs that verify clients; None if clients are asked for no certificate.
        required: whether clients need a certificate.
        host: the host whose route table is served, if it is served on connections of its own.
    """

    certificates: tuple[str, ...]
    profile: TLSProfile | None
    ca: ObjectRef | None
    required: bool
    host: str

    @classmethod
    def of(cls, names: ServerNames) -> Alike:
        """Return what some names have in common with others."""
        auth = names.client_auth
        return cls(
            names.certificates,
            names.profile,
            auth.ca.source if auth is not None else None,
            auth is not None and auth.required,
            names.host,
        )

    @property
    def name(self) -> str:
        """The name of the filter chain: unique, and the same whatever names it has."""
        parts = ["tls", *self.certificates]
        parts += [f"profile={self.profile}"] if self.profile is not None else []
        if self.ca is not None:
            parts.append(f"{'required' if self.required else 'optional'}={self.ca.namespace}/{self.ca.name}")
        parts += [f"host={self.host}"] if self.host else []
        return " ".join(parts)


def grouped(server_names: Iterable[ServerNames]) -> dict[Alike, list[str]]:
    """Return the names of each filter chain that is chosen by SNI."""
    found: dict[Alike, list[str]] = {}
    for entry in server_names:
        if entry.names:
            found.setdefault(Alike.of(entry), []).extend(entry.names)
    return found


def named_chain(alike: Alike, settings: EnvoySettings, shared: Filter, paths: Paths) -> FilterChain:
    """Return a filter chain that is chosen by SNI; ``shared`` manages the connections of hosts without any of their own."""
    return _chain(alike, alike.name, settings, shared, paths)


def default_chain(alike: Alike, settings: EnvoySettings, shared: Filter, paths: Paths) -> FilterChain:
    """Return the filter chain for clients without SNI, and for names that the matcher does not know."""
    return _chain(alike, "tls default", settings, shared, paths)


def _chain(alike: Alike, name: str, settings: EnvoySettings, shared: Filter, paths: Paths) -> FilterChain:
    manager = shared
    if alike.host:
        manager = connection_manager(HTTPS_LISTENER, settings, paths, own_routes_name(alike.host))
    context = DownstreamTlsContext(
        common_tls_context=CommonTlsContext(
            tls_params=_parameters(alike.profile),
            alpn_protocols=["h2", "http/1.1"],
            tls_certificate_sds_secret_configs=[
                SdsSecretConfig(name=secret_name(certificate), sds_config=ads()) for certificate in alike.certificates
            ],
        ),
    )
    if alike.ca is not None:
        context.require_client_certificate.value = alike.required
        # Until Envoy has accepted the CA, the chain refuses every connection.
        context.common_tls_context.validation_context_sds_secret_config.CopyFrom(
            SdsSecretConfig(name=bundle_name(alike.ca), sds_config=ads())
        )
    return FilterChain(
        name=name,
        filters=[manager],
        transport_socket=TransportSocket(name="envoy.transport_sockets.tls", typed_config=pack(context)),
        transport_socket_connect_timeout=seconds(10),
    )


def matcher(server_names: Iterable[ServerNames], challenges: Iterable[Challenge]) -> Matcher:
    """
    Return the matcher of the listener: of a name's chains, the one of a TLS-ALPN-01 challenge for clients that offer its protocol.

    An exact name comes before a wildcard, a longer wildcard before a shorter one.
    """
    by_name = _by_server_name({alike.name: names for alike, names in grouped(server_names).items()})
    validated = {challenge_chain_name(c): [c.domain] for c in challenges if isinstance(c, TLSChallenge)}
    if not validated:
        return by_name
    found = Matcher(on_no_match=Matcher.OnMatch(matcher=by_name))
    found.matcher_tree.input.CopyFrom(_extension("application protocols", ApplicationProtocolInput()))
    found.matcher_tree.exact_match_map.map[f"'{ALPN_PROTOCOL}'"].matcher.CopyFrom(_by_server_name(validated))
    return found


def _by_server_name(names: Mapping[str, Sequence[str]]) -> Matcher:
    domains = ServerNameMatcher(
        domain_matchers=[
            ServerNameMatcher.DomainMatcher(
                domains=each,
                on_match=Matcher.OnMatch(action=_extension("filter chain", StringValue(value=chain))),
            )
            for chain, each in names.items()
        ]
    )
    return Matcher(
        matcher_tree=Matcher.MatcherTree(
            input=_extension("server name", ServerNameInput()),
            custom_match=_extension("envoy.matching.custom_matchers.domain_matcher", domains),
        )
    )


def _extension(name: str, message: Message) -> TypedExtensionConfig:
    return TypedExtensionConfig(name=name, typed_config=pack(message))


_RESTRICTED = (
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-CHACHA20-POLY1305",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-RSA-CHACHA20-POLY1305",
)
_MODERN = (
    *_RESTRICTED,
    "ECDHE-ECDSA-AES128-SHA",
    "ECDHE-ECDSA-AES256-SHA",
    "ECDHE-RSA-AES128-SHA",
    "ECDHE-RSA-AES256-SHA",
)
_COMPATIBLE = (*_MODERN, "AES128-GCM-SHA256", "AES256-GCM-SHA384", "AES128-SHA", "AES256-SHA")

CIPHER_SUITES = {
    TLSProfile.COMPATIBLE: _COMPATIBLE,
    TLSProfile.MODERN: _MODERN,
    TLSProfile.RESTRICTED: _RESTRICTED,
}
"""
The suites of TLS 1.2 in GCP's profiles (cloud.google.com/load-balancing/docs/ssl-policies-concepts), by OpenSSL's names.

RESTRICTED is forward secrecy with authenticated encryption, MODERN adds CBC, COMPATIBLE RSA key exchange; 3DES, which
Google still has in COMPATIBLE, is left out. Those of TLS 1.3 are the same with each.
"""


def _parameters(profile: TLSProfile | None) -> TLSParameters:
    """Return TLS 1.2 and 1.3; without a profile with Envoy's own suites, which are those of RESTRICTED."""
    return TLSParameters(
        tls_minimum_protocol_version=TLSParameters.TLSv1_2,
        tls_maximum_protocol_version=TLSParameters.TLSv1_3,
        cipher_suites=CIPHER_SUITES[profile] if profile else (),
    )
