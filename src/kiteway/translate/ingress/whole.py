"""
What is wrong with a set of files as a whole: objects that nothing refers to.

In a cluster this is not checked, because many objects there are for other controllers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from kiteway.certificates.x509 import CertificateError, inspect
from kiteway.diagnostics import Diagnostic, ObjectRef, Severity
from kiteway.model import LoadBalancer
from kiteway.resources import BackendConfig, FrontendConfig, Ingress, Object, Secret, Service
from kiteway.resources import annotations as keys
from kiteway.resources.kinds.secret import TLS_CERTIFICATE, TLS_PRIVATE_KEY, TLS_SECRET
from kiteway.resources.schema import Violation
from kiteway.translate.ingress.served import nothing_served


def judge_whole(objects: Sequence[Object], model: LoadBalancer) -> list[Diagnostic]:
    """Return warnings about a set of files: nothing is served, or an object is attached to nothing."""
    return [*nothing_served(objects, model), *_unattached(objects), *_unusable_secrets(objects)]


def _unattached(objects: Sequence[Object]) -> Iterator[Diagnostic]:
    """Yield configurations that nothing names. If the kind that could name them is not among the files, none is reported."""
    named = set(_named(objects))
    with_ingress = {each.ref.namespace for each in objects if isinstance(each, Ingress)}
    with_service = {each.ref.namespace for each in objects if isinstance(each, Service)}
    for object_ in objects:
        if object_.ref in named:
            continue
        if isinstance(object_, FrontendConfig) and object_.ref.namespace in with_ingress:
            yield object_.diagnostic(
                Severity.WARNING,
                "FrontendConfigUnattached",
                "no Ingress of its namespace names it, so it has no effect.",
                f"Annotate the Ingress: {keys.FRONTEND_CONFIG}: {object_.ref.name}.",
                ("metadata", "name"),
            )
        elif isinstance(object_, BackendConfig) and object_.ref.namespace in with_service:
            yield object_.diagnostic(
                Severity.WARNING,
                "BackendConfigUnattached",
                "no Service of its namespace names it, so it has no effect.",
                f"""Annotate the Service: {keys.BACKEND_CONFIG}: '{{"default": "{object_.ref.name}"}}'.""",
                ("metadata", "name"),
            )


def _named(objects: Sequence[Object]) -> Iterator[ObjectRef]:
    for object_ in objects:
        namespace, annotations = object_.ref.namespace, object_.metadata.annotations
        if isinstance(object_, Ingress):
            yield ObjectRef("FrontendConfig", namespace, annotations.get(keys.FRONTEND_CONFIG, ""))
            yield from _secrets(namespace, annotations, keys.ON_INGRESS)
            yield from (ObjectRef("Secret", namespace, tls.secret_name or "") for tls in object_.spec.tls)
        elif isinstance(object_, Service):
            yield from _secrets(namespace, annotations, keys.ON_SERVICE)
            text = annotations.get(keys.BACKEND_CONFIG, annotations.get(keys.BACKEND_CONFIG_BETA, ""))
            found = keys.parse_backend_config_ref(text) if text else None
            if found is not None and not isinstance(found, Violation):
                names = (found.default, *found.ports.values())
                yield from (ObjectRef("BackendConfig", namespace, name) for name in names)


def _secrets(namespace: str, annotations: Mapping[str, str], known: frozenset[str]) -> Iterator[ObjectRef]:
    yield from (
        ObjectRef("Secret", namespace, annotations[key]) for key in keys.NAMING_SECRETS & known & annotations.keys()
    )


def _unusable_secrets(objects: Sequence[Object]) -> Iterator[Diagnostic]:
    """Yield what is wrong with TLS Secrets that no object names yet; those that one names are judged where it is."""
    named = set(_named(objects))
    for secret in objects:
        if not isinstance(secret, Secret) or secret.ref in named or secret.type != TLS_SECRET:
            continue
        try:
            inspect(bytes(secret.values[TLS_CERTIFICATE]), bytes(secret.values[TLS_PRIVATE_KEY]))
        except CertificateError as error:
            yield secret.diagnostic(Severity.WARNING, error.reason, error.message, error.fix, secret.where(error.part))
