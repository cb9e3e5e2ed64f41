"""The result of a verification."""

from dataclasses import dataclass
from enum import StrEnum


class FailureReason(StrEnum):
    """The reason of a failure, by the layer in which it is. The values are stable."""

    DNS = "Dns"
    TCP = "Tcp"
    TLS = "Tls"
    TLS_EXPECTED = "TlsExpected"
    CERTIFICATE = "Certificate"
    CERTIFICATE_NAME = "CertificateName"
    CLIENT_CERTIFICATE = "ClientCertificate"
    ALPN = "Alpn"
    HTTP2 = "Http2"
    ROUTE = "Route"
    NO_HEALTHY_ENDPOINT = "NoHealthyEndpoint"
    LIMITED = "Limited"
    AUTH = "Auth"
    PERMISSION = "Permission"
    NOT_MILVUS = "NotMilvus"
    MILVUS = "Milvus"
    WRONG_ANSWER = "WrongAnswer"
    TIMEOUT = "Timeout"
    HTTP_PROXY = "HttpProxy"
    SDK = "Sdk"


@dataclass(frozen=True, slots=True)
class Failure:
    """Why the verification failed."""

    reason: FailureReason
    sentence: str
    """What is wrong, one sentence."""
    fix: str
    """What to do."""


@dataclass(frozen=True, slots=True)
class Step:
    """One finished step."""

    name: str
    ok: bool
    seconds: float
    detail: str


@dataclass(frozen=True, slots=True)
class Versions:
    """The versions and addresses of client and server."""

    pymilvus: str
    milvus: str | None
    """None if it was not asked, or does not say (`GetVersion` is UNIMPLEMENTED)."""


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """The whole run."""

    verified: bool
    address: str
    server_name: str
    steps: tuple[Step, ...]
    versions: Versions
    failure: Failure | None = None
    leftover: str | None = None
    """The run's own collection, if it could not be dropped."""
