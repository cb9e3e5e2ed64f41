"""Secret: where the certificates of an Ingress are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

from kiteway.diagnostics import Severity
from kiteway.resources import reasons
from kiteway.resources.decode import base64_bytes, text_bytes
from kiteway.resources.object import Object
from kiteway.resources.rules import dns_subdomain, secret_keys
from kiteway.resources.schema import Rule, Violation, described
from kiteway.resources.secret_bytes import SecretBytes

TLS_SECRET = "kubernetes.io/tls"  # noqa: S105 - the name of a type
TLS_CERTIFICATE = "tls.crt"
TLS_PRIVATE_KEY = "tls.key"

# The API server's MaxSecretSize.
_MOST_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Secret(Object):
    """A Secret (v1). Its values are in no ``repr`` and in no message."""

    KIND: ClassVar[str] = "Secret"
    API_VERSIONS: ClassVar[tuple[str, ...]] = ("v1",)
    UNKNOWN_FIELD: ClassVar[Severity] = Severity.WARNING
    NAME_RULE: ClassVar[Rule] = staticmethod(dns_subdomain)
    SILENT: ClassVar[frozenset[str]] = frozenset({"immutable"})

    type: str = described("The type; a Secret of type kubernetes.io/tls must have tls.crt and tls.key.", "Opaque")
    data: Mapping[str, Annotated[SecretBytes, base64_bytes]] = described("The values, in base64.", {}, secret_keys)
    string_data: Mapping[str, Annotated[SecretBytes, text_bytes]] = described(
        "The values, in plain text; these win over data.", {}, secret_keys
    )

    @property
    def values(self) -> Mapping[str, SecretBytes]:
        """The values as the API server would store them."""
        return {**self.data, **self.string_data}

    def where(self, key: str) -> tuple[str, str]:
        """Return the field in which a value was given: stringData wins over data."""
        return ("stringData" if key in self.string_data else "data", key)

    def violations(self) -> Iterator[Violation]:
        """Yield what the API server refuses in a Secret."""
        values = self.values
        if self.type == TLS_SECRET:
            for key in (TLS_CERTIFICATE, TLS_PRIVATE_KEY):
                if key not in values:
                    message = f"is required in a Secret of type {TLS_SECRET}."
                    fix = "Create it with: kubectl create secret tls NAME --cert=tls.crt --key=tls.key."
                    yield Violation(message, fix, reasons.FIELD_VALUE_REQUIRED, ("data", key))
        if (size := sum(map(len, values.values()))) > _MOST_BYTES:
            message = f"must have at most {_MOST_BYTES} bytes in all, not {size}."
            yield Violation(message, reason=reasons.FIELD_VALUE_TOO_LONG, path=("data",))
