"""Certificates of clients: what an Ingress asks for."""

from __future__ import annotations

from kiteway.model import ClientAuth
from kiteway.resources import annotations as keys
from kiteway.translate.context import Context, Path
from kiteway.translate.trust import bundle_of

_MODE: Path = ("metadata", "annotations", keys.CLIENT_CERTIFICATE)


def client_auth_of(context: Context) -> tuple[bool, ClientAuth | None]:
    """
    Return how the clients of an Ingress show who they are, and whether it says so in a way that can be done.

    Where it cannot be done, nobody may be served: whoever asks for certificates does not mean to go without.
    """
    ingress = context.ingress
    annotations = ingress.metadata.annotations
    name, mode = annotations.get(keys.CLIENT_CA), annotations.get(keys.CLIENT_CERTIFICATE, "required")
    if not name:
        if keys.CLIENT_CERTIFICATE in annotations:
            context.error(
                ingress,
                "ClientCAMissing",
                "certificates of clients are asked for, but no CA is named that they are verified against.",
                f"Name the Secret with its ca.crt: {keys.CLIENT_CA}.",
                _MODE,
            )
            return False, None
        return True, None
    if mode not in {"required", "optional"}:
        context.error(
            ingress,
            "ClientCertificateInvalid",
            f'"{mode}" is neither required nor optional.',
            'Write "required" or "optional".',
            _MODE,
        )
    bundle = bundle_of(context, ingress, name, ("metadata", "annotations", keys.CLIENT_CA))
    return bundle is not None, ClientAuth(bundle, mode != "optional") if bundle else None
