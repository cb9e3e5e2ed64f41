"""The address and credentials of a verification."""

from dataclasses import dataclass, field
from pathlib import Path

from kiteway.probe import Endpoint, TlsOptions
from kiteway.probe.trust import grpc_default_roots


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The address and credentials that a client gives, in the three forms of the guide.

    These are: with ``ca`` (self-managed certificate), without (public CA), and a domain name as ``host`` instead of an
    address with ``server_name``.
    """

    host: str
    port: int = 443
    ca: Path | None = None
    """PEM file to trust (PyMilvus's ``server_pem_path``); gRPC's public roots if None."""
    server_name: str | None = None
    """Name to find in the certificate; ``host`` if None."""
    token: str | None = field(default=None, repr=False)
    """``user:password`` or an API key."""
    secure: bool = True
    """TLS; False is plaintext."""
    client_cert: Path | None = None
    client_key: Path | None = None

    def __post_init__(self) -> None:
        """Refuse options that PyMilvus would silently ignore."""
        if (self.client_cert is None) != (self.client_key is None):
            msg = "a client certificate and its key go together: give both or none"
            raise ValueError(msg)
        if self.client_cert is not None and self.ca is None:
            msg = "PyMilvus sends a client certificate only together with a CA file: give --ca"
            raise ValueError(msg)
        if not self.secure and (self.ca or self.server_name or self.client_cert):
            msg = "a CA file, a server name and a client certificate need TLS: leave out --plaintext"
            raise ValueError(msg)

    @property
    def endpoint(self) -> Endpoint:
        """The address for a probe."""
        return Endpoint(self.host, self.port)

    @property
    def name(self) -> str:
        """The name the certificate must be for."""
        return self.server_name or self.host

    @property
    def tls(self) -> TlsOptions | None:
        """The TLS settings that gRPC's client would use, for a probe; None in plaintext."""
        if not self.secure:
            return None
        return TlsOptions(
            server_name=self.server_name,
            ca=self.ca or grpc_default_roots(),
            client_cert=self.client_cert,
            client_key=self.client_key,
        )
