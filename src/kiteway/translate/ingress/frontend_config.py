"""The settings of an Ingress and its FrontendConfig for the listeners."""

from __future__ import annotations

import dataclasses

from kiteway.diagnostics import Severity
from kiteway.model import HTTPMode, RedirectCode, TLSProfile
from kiteway.resources import FrontendConfig
from kiteway.resources import annotations as keys
from kiteway.resources.places import Path
from kiteway.resources.schema import Violation
from kiteway.translate.ingress.context import IngressContext

_ALLOW_HTTP: Path = ("metadata", "annotations", keys.ALLOW_HTTP)


def frontend_config(context: IngressContext) -> FrontendConfig | None:
    """Return the FrontendConfig an Ingress names."""
    ingress = context.ingress
    name = ingress.metadata.annotations.get(keys.FRONTEND_CONFIG)
    if not name:
        return None
    found = context.get(FrontendConfig, ingress.ref.namespace, name)
    if found is None:
        message, fix = context.why_missing(FrontendConfig, ingress.ref.namespace, name)
        context.error(
            ingress,
            "FrontendConfigNotFound",
            message,
            fix,
            ("metadata", "annotations", keys.FRONTEND_CONFIG),
            missing=(FrontendConfig, ingress.ref.namespace, name),
        )
    return found


def tls_profile(context: IngressContext, frontend: FrontendConfig | None) -> TLSProfile | None:
    """
    Return the TLS profile of the SSL policy; None without one.

    An SSL policy is an object of a Google Cloud project, so the user has to say which profile it has.
    """
    policy = frontend.spec.ssl_policy if frontend else None
    if frontend is None or not policy:
        return None
    profile = context.options.ssl_policies.get(policy)
    if profile is not None:
        return profile
    context.warn(
        frontend,
        "SslPolicyUnknown",
        f'the profile of the SSL policy "{policy}" is not known, because it is an object of a Google Cloud project; TLS 1.2 '
        "and 1.3 are offered.",
        f"Give its profile: --ssl-policy {policy}=COMPATIBLE|MODERN|RESTRICTED.",
        ("spec", "sslPolicy"),
    )
    return None


def http_mode(
    context: IngressContext,
    frontend: FrontendConfig | None,
    *,
    wants_tls: bool,
    certificate_required: bool,
    for_calls: bool,
) -> tuple[HTTPMode, RedirectCode | None]:
    """
    Return what port 80 does, and the code of a redirect. It never serves where clients must show a certificate.

    ``for_calls``: calls of Milvus come there, which carry tokens; not so for an Ingress that answers a CA's challenges.
    """
    redirect = frontend.spec.redirect_to_https if frontend else None
    redirects = redirect is not None and redirect.enabled
    if not _allowed(context):
        _explain_off(context, frontend if redirects else None, wants_tls=wants_tls)
        return HTTPMode.OFF, None
    if redirect is not None and redirects and wants_tls:
        return HTTPMode.REDIRECT, RedirectCode(redirect.response_code_name.status)
    if redirects and frontend is not None:
        context.warn(
            frontend,
            "RedirectWithoutTLS",
            f"{context.ingress.ref} has no certificate, so there is no HTTPS to redirect to; port 80 "
            f"{'is off' if certificate_required else 'serves'}.",
            "Add spec.tls or a ManagedCertificate to the Ingress.",
            ("spec", "redirectToHttps", "enabled"),
        )
    if certificate_required:
        context.warn(
            context.ingress,
            "ClientCertificateWithoutHTTP",
            "clients need a certificate, which they cannot show in plaintext, so port 80 does not serve these hosts.",
            f'Set the annotation {keys.ALLOW_HTTP}: "false", or redirect with a FrontendConfig.',
            ("metadata", "annotations"),
        )
        return HTTPMode.OFF, None
    missing = frontend is None and context.ingress.metadata.annotations.get(keys.FRONTEND_CONFIG)
    if wants_tls and missing:
        # The missing FrontendConfig may redirect, so port 80 does not serve until it exists.
        return HTTPMode.OFF, None
    if wants_tls and context.options.http_port:
        context.warn(
            context.ingress,
            "AllowHttpOpen",
            "port 80 serves the same hosts in plaintext, where anyone on the network path can read a Milvus token.",
            f'Set the annotation {keys.ALLOW_HTTP}: "false", or redirect with a FrontendConfig.',
            ("metadata", "annotations"),
        )
    elif for_calls and not (wants_tls or redirects) and context.options.http_port and not _asks_for_http(context):
        context.warn(
            context.ingress,
            "AllowHttpOpen",
            "there is no TLS: port 80 serves the hosts in plaintext, where anyone on the network path can read a Milvus token.",
            f"Add spec.tls with a TLS Secret, or a ManagedCertificate. If plaintext is meant, say so: {keys.ALLOW_HTTP}: "
            '"true".',
            ("spec",),
        )
    return HTTPMode.SERVE, None


def _asks_for_http(context: IngressContext) -> bool:
    text = context.ingress.metadata.annotations.get(keys.ALLOW_HTTP)
    return text is not None and keys.parse_bool(text) is True


def _allowed(context: IngressContext) -> bool:
    text = context.ingress.metadata.annotations.get(keys.ALLOW_HTTP)
    if text is None:
        return True
    value = keys.parse_bool(text)
    if isinstance(value, bool):
        return value
    context.warn(
        context.ingress,
        "AllowHttpUnparsable",
        f'"{text}" is neither true nor false; GKE treats it as true, so port 80 is open.',
        'Write "true" or "false".',
        _ALLOW_HTTP,
    )
    return True


def _explain_off(context: IngressContext, redirecting: FrontendConfig | None, *, wants_tls: bool) -> None:
    if not wants_tls:
        context.error(
            context.ingress,
            "AllProtocolsDisabled",
            "port 80 is turned off and there is no certificate for port 443: nothing is served.",
            f"Add spec.tls or a ManagedCertificate, or remove {keys.ALLOW_HTTP}.",
            _ALLOW_HTTP,
        )
    if redirecting is not None:
        context.warn(
            redirecting,
            "RedirectWithoutHttp",
            f"{context.ingress.ref} turns port 80 off, so nothing is redirected.",
            f"Remove {keys.ALLOW_HTTP} from the Ingress, or the redirect.",
            ("spec", "redirectToHttps", "enabled"),
        )


def check_addresses(context: IngressContext) -> None:
    """Report the reserved addresses that an Ingress names, which exist at Google only."""
    annotations = context.ingress.metadata.annotations
    named = [key for key in (keys.GLOBAL_STATIC_IP_NAME, keys.REGIONAL_STATIC_IP_NAME) if annotations.get(key)]
    if len(named) == 2:
        context.error(
            context.ingress,
            "StaticIPConflict",
            "a global and a regional address are named, of which an Ingress can have one.",
            f"Remove {keys.REGIONAL_STATIC_IP_NAME}, unless the class is a regional one.",
            ("metadata", "annotations", keys.REGIONAL_STATIC_IP_NAME),
        )
    elif named:
        context.report(
            context.ingress.diagnostic(
                Severity.NOTE,
                "StaticIPIgnored",
                f'the reserved address "{annotations[named[0]]}" exists at Google only; Kiteway has its own addresses.',
                path=("metadata", "annotations", named[0]),
            )
        )
    else:
        context.trap(
            context.ingress,
            "StaticIPMissing",
            "no reserved address is named: GKE assigns an address each time the Ingress is created, and DNS records have to "
            "be changed each time.",
            f"Reserve one and set the annotation {keys.GLOBAL_STATIC_IP_NAME}.",
            ("metadata", "annotations"),
        )


def check_pre_shared(context: IngressContext) -> bool:
    """Return whether certificates at Google are named, which cannot be served; report it."""
    annotations = context.ingress.metadata.annotations
    names = keys.parse_names(annotations.get(keys.PRE_SHARED_CERT, ""))
    path: Path = ("metadata", "annotations", keys.PRE_SHARED_CERT)
    if isinstance(names, Violation):
        context.refuse(context.ingress, dataclasses.replace(names, reason="PreSharedCertInvalid"), path)
        return True
    # GKE's controller of managed certificates writes this annotation too.
    if names and not annotations.get(keys.MANAGED_CERTIFICATES):
        context.warn(
            context.ingress,
            "PreSharedCertUnsupported",
            f"{', '.join(names)}: pre-shared certificates exist at Google only, and their keys cannot be exported; Kiteway "
            "does not serve them.",
            "Put a certificate into a TLS Secret and name it in spec.tls, or use a ManagedCertificate.",
            path,
        )
    return bool(names)
