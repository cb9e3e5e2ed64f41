"""Port 80 of an Ingress with certificates."""

from __future__ import annotations

from collections.abc import Iterator

from kiteway.diagnostics import ObjectRef, Severity
from kiteway.doctor.manifests import Manifests
from kiteway.doctor.rule import Finding, Rule, Scope, failed, passed, skipped
from kiteway.resources import FrontendConfig, Ingress
from kiteway.resources import annotations as keys


def _check(manifests: Manifests) -> Iterator[Finding]:
    redirecting = {
        frontend.ref
        for frontend in manifests.of(FrontendConfig)
        if frontend.spec.redirect_to_https and frontend.spec.redirect_to_https.enabled
    }
    for ingress in manifests.of(Ingress):
        annotations = ingress.metadata.annotations
        allowed = keys.parse_bool(annotations.get(keys.ALLOW_HTTP, "true")) is not False
        named = ObjectRef("FrontendConfig", ingress.ref.namespace, annotations.get(keys.FRONTEND_CONFIG, ""))
        if not allowed:
            yield passed(ingress.ref, "port 80 is closed.")
        elif not (ingress.spec.tls or keys.MANAGED_CERTIFICATES in annotations or keys.PRE_SHARED_CERT in annotations):
            yield skipped(ingress.ref, "it has no certificate, so port 80 is all that it serves.")
        elif named in redirecting:
            yield passed(ingress.ref, "port 80 redirects to HTTPS.")
        else:
            yield failed(
                ingress.ref,
                "port 80 stays open beside port 443 and serves the same in plaintext, credentials included.",
                f'Annotate {keys.ALLOW_HTTP}: "false", or redirect with a FrontendConfig (redirectToHttps).',
                position=ingress.at("metadata", "annotations", keys.ALLOW_HTTP),
            )


RULE = Rule(
    "ALLOW_HTTP_OPEN",
    "Port 80 beside port 443",
    'kubernetes.io/ingress.allow-http is true unless it says false; the guide only advises "always use 443" (trap G7). '
    "A client's credentials are merely base64 in the metadata of every call.",
    Scope.FILES,
    _check,
    Severity.WARNING,
)
