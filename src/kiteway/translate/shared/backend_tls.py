"""TLS to the endpoints: how they are verified, and the client certificate for them."""

from __future__ import annotations

from kiteway.model import BackendProtocol, Certificate, UpstreamTLS
from kiteway.printable import suggested
from kiteway.resources import Secret, Service
from kiteway.resources import annotations as keys
from kiteway.resources.places import Path
from kiteway.resources.rules import dns_subdomain
from kiteway.translate.shared.context import Context
from kiteway.translate.shared.secrets import read_secret
from kiteway.translate.shared.trust import bundle_of

_KEYS = (keys.BACKEND_CA, keys.BACKEND_SERVER_NAME, keys.BACKEND_CLIENT_CERTIFICATE)
_CREATE = ("kiteway", "cert", "create", "--ca", "DIR", "--client", "NAME", "--secret")


def upstream_tls_of(context: Context, service: Service, protocol: BackendProtocol) -> UpstreamTLS | None:
    """Return the TLS settings towards the endpoints; None, with diagnostics, if they cannot be applied."""
    annotations = service.metadata.annotations
    # An empty value counts as set and is refused below; otherwise it would turn verification off.
    found = {key: annotations[key] for key in _KEYS if key in annotations}
    if not found:
        return UpstreamTLS()
    if not protocol.tls:
        context.error(
            service,
            "BackendTLSWithoutTLS",
            f"{', '.join(found)}: connections to the port are plaintext, where no certificate is verified.",
            f"""Set {keys.APP_PROTOCOLS}: '{{"PORT-NAME": "HTTP2"}}', or remove the annotation.""",
            _path(next(iter(found))),
        )
        return None
    name = found.get(keys.BACKEND_SERVER_NAME)
    if name is not None and (broken := dns_subdomain(name)):
        context.error(
            service,
            "BackendServerNameInvalid",
            f"the name {broken.message}",
            broken.fix,
            _path(keys.BACKEND_SERVER_NAME),
        )
        return None
    ca = None
    if keys.BACKEND_CA in found:
        ca = bundle_of(context, service, found[keys.BACKEND_CA], _path(keys.BACKEND_CA))
        if ca is None:
            return None
        if name is None:
            context.warn(
                service,
                "BackendNameUnchecked",
                "the endpoints' certificate is verified against the CA only: every certificate that the CA has signed is accepted.",
                f"Set the name that it must have: {keys.BACKEND_SERVER_NAME}.",
                _path(keys.BACKEND_CA),
            )
    client = None
    if keys.BACKEND_CLIENT_CERTIFICATE in found:
        client = _client_certificate(context, service, found[keys.BACKEND_CLIENT_CERTIFICATE])
        if client is None:
            return None
    return UpstreamTLS(name, ca, client)


def _client_certificate(context: Context, service: Service, name: str) -> Certificate | None:
    namespace = service.ref.namespace
    secret = context.get(Secret, namespace, name)
    if secret is None:
        context.error(
            service,
            "BackendClientCertificateNotFound",
            f"the TLS Secret {namespace}/{name} does not exist or has errors of its own.",
            f"Create it: {suggested(*_CREATE, name, '-n', namespace)}.",
            _path(keys.BACKEND_CLIENT_CERTIFICATE),
            missing=(Secret, namespace, name),
        )
        return None
    return read_secret(context, secret, for_server=False)


def _path(key: str) -> Path:
    return ("metadata", "annotations", key)
