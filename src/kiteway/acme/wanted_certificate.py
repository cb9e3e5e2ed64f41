"""The certificates to issue and renew, and where their records are."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from kiteway.diagnostics import ObjectRef


@dataclass(frozen=True, slots=True)
class WantedCertificate:
    """
    A ManagedCertificate.

    Attributes:
        ref: the object.
        domains: the names it asks for.
        attached: whether an Ingress that Kiteway serves names it; like GKE, Kiteway issues nothing before.
    """

    ref: ObjectRef
    domains: tuple[str, ...]
    attached: bool = True

    @property
    def key(self) -> str:
        """``namespace/name``."""
        return f"{self.ref.namespace}/{self.ref.name}"

    @property
    def certificate(self) -> str:
        """The SDS secret's name, the same for the temporary and the issued certificate: only its content changes."""
        return f"managedcertificate/{self.key}"

    def folder(self, issuer_key: str) -> str:
        """Return where its records are in the storage."""
        return f"acme/{issuer_key}/certificates/{self.key}"

    def google_name(self) -> str:
        """Return ``status.certificateName`` as GKE writes it: ``mcrt-`` and a UUID that is constant for the object."""
        return f"mcrt-{uuid.uuid5(uuid.NAMESPACE_URL, f'kiteway:{self.certificate}')}"
