"""Client certificates that an Ingress asks for."""

from __future__ import annotations

from kiteway.model import ClientAuth
from kiteway.resources import annotations as keys
from kiteway.resources.places import Path
from kiteway.translate.ingress.context import IngressContext
from kiteway.translate.shared.trust import bundle_of

_CA: Path = ("metadata", "annotations", keys.CLIENT_CA)
_MODE: Path = ("metadata", "annotations", keys.CLIENT_CERTIFICATE)


def client_auth_of(context: IngressContext) -> tuple[bool, ClientAuth | None]:
    """
    Return whether the clients of an Ingress need a certificate, and how it is verified.

    If it is required and cannot be verified, no client may be served.
    """
    ingress = context.ingress
    annotations = ingress.metadata.annotations
    name, mode = annotations.get(keys.CLIENT_CA), annotations.get(keys.CLIENT_CERTIFICATE, "required")
    if not name:
        # An empty annotation is a mistake, not an absent one: clients must not be served without a certificate for it.
        if name is not None or keys.CLIENT_CERTIFICATE in annotations:
            context.error(
                ingress,
                "ClientCAMissing",
                "client certificates are asked for, but no CA to verify them is named.",
                f"Name the Secret with the ca.crt: {keys.CLIENT_CA}.",
                _MODE if keys.CLIENT_CERTIFICATE in annotations else _CA,
            )
            return True, None
        return False, None
    if mode not in {"required", "optional"}:
        context.error(
            ingress,
            "ClientCertificateInvalid",
            f'"{mode}" is neither required nor optional.',
            'Write "required" or "optional".',
            _MODE,
        )
    bundle = bundle_of(context, ingress, name, _CA)
    if bundle is None:
        return True, None
    required = mode != "optional"
    return required, ClientAuth(bundle, required)
