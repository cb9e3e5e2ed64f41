"""The facts of a server certificate that decide whether a client accepts it."""

from dataclasses import dataclass, field
from datetime import datetime

from cryptography import x509
from cryptography.x509.oid import NameOID


@dataclass(frozen=True, slots=True)
class CertificateFacts:
    """One certificate of a chain."""

    subject: str
    issuer: str
    common_name: str | None
    names: tuple[str, ...]
    """Subject alternative names: DNS names, then IP addresses."""
    not_before: datetime
    not_after: datetime
    der: bytes = field(default=b"", repr=False)
    """The certificate itself."""

    @property
    def self_signed(self) -> bool:
        """Subject and issuer are the same name."""
        return self.subject == self.issuer

    @property
    def server_names(self) -> tuple[str, ...]:
        """The names a gRPC client matches: the SANs, or the common name if there are none."""
        if self.names:
            return self.names
        return (self.common_name,) if self.common_name else ()


def read_certificate(der: bytes) -> CertificateFacts:
    """Read one DER certificate.

    Raises:
        ValueError: not a certificate.
    """
    certificate = x509.load_der_x509_certificate(der)
    common_names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return CertificateFacts(
        subject=certificate.subject.rfc4514_string(),
        issuer=certificate.issuer.rfc4514_string(),
        common_name=str(common_names[0].value) if common_names else None,
        names=_alternative_names(certificate),
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        der=der,
    )


def _alternative_names(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return ()
    names = extension.value
    return (
        *names.get_values_for_type(x509.DNSName),
        *(str(address) for address in names.get_values_for_type(x509.IPAddress)),
    )
