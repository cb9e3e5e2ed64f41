"""The front end for Ingresses: GKE's semantics."""

from __future__ import annotations

from kiteway.diagnostics import Severity
from kiteway.model import HTTPMode
from kiteway.resources import Ingress
from kiteway.translate.ingress.certificates import certificates_of
from kiteway.translate.ingress.classes import is_ours
from kiteway.translate.ingress.client_auth import client_auth_of
from kiteway.translate.ingress.context import IngressContext
from kiteway.translate.ingress.frontend_config import (
    check_addresses,
    check_pre_shared,
    frontend_config,
    http_mode,
    tls_profile,
)
from kiteway.translate.ingress.hosts import asked, host_claims
from kiteway.translate.ingress.solver import for_challenges, is_solver
from kiteway.translate.shared.context import Index, Options
from kiteway.translate.shared.foreign import check_annotations
from kiteway.translate.shared.front_end import FrontEnd
from kiteway.translate.shared.unit import Unit


def translate_ingress(ingress: Ingress, index: Index, options: Options) -> Unit:
    """Return what an Ingress means on its own; the claims of others are not looked at."""
    context = IngressContext(ingress, index, options)
    certificates, wants_tls = certificates_of(context)
    wants_tls = check_pre_shared(context) or wants_tls
    check_addresses(context)
    frontend = frontend_config(context)
    required, client_auth = client_auth_of(context)
    solver = is_solver(ingress)
    http, code = http_mode(context, frontend, wants_tls=wants_tls, certificate_required=required, for_calls=not solver)
    if required and client_auth is None:
        certificates = ()
    hosts = host_claims(context)
    plaintext = any(not pool.protocol.tls for pool in context.pools.values())
    check_annotations(context, ingress, plaintext_backend=plaintext, http_open=http is HTTPMode.SERVE)
    return Unit(
        owner=ingress,
        hosts=for_challenges(hosts) if solver else hosts,
        pools=tuple(context.pools[key] for key in sorted(context.pools)),
        certificates=certificates,
        http=http,
        redirect_code=code,
        profile=tls_profile(context, frontend),
        client_auth=client_auth,
        certificate_required=required,
        solver=solver,
        # A solver's Service is cert-manager's and lives for a minute: a warning about it would come too late.
        diagnostics=tuple(d for d in dict.fromkeys(context.diagnostics) if not solver or d.severity is Severity.ERROR),
        dependencies=tuple(context.dependencies),
    )


INGRESS = FrontEnd(Ingress, is_ours, asked, translate_ingress)
