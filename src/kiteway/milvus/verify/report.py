"""The result of a verification."""

from enum import StrEnum
from typing import Final

from msgspec import Struct

from kiteway import __version__
from kiteway.milvus.catalogue import RpcClass

SCHEMA_VERSION: Final = 1
"""It grows when a field is removed, renamed or changes its meaning or type; a field may be added without."""


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


class Failure(Struct, frozen=True):
    """
    Why the verification failed.

    Attributes:
        reason: the layer that failed, a stable code.
        sentence: what is wrong, one sentence.
        fix: what to do.
    """

    reason: FailureReason
    sentence: str
    fix: str


class Step(Struct, frozen=True):
    """
    One finished step.

    Attributes:
        name: its name.
        ok: whether it succeeded.
        seconds: how long it took.
        detail: what it saw, or the error.
    """

    name: str
    ok: bool
    seconds: float
    detail: str


class Versions(Struct, frozen=True):
    """
    The versions of client, balancer and server.

    Attributes:
        pymilvus: of PyMilvus.
        milvus: as Milvus says it; null if it was not asked, or has no GetVersion.
        kiteway: of the command.
    """

    pymilvus: str
    milvus: str | None
    kiteway: str = __version__


class CallSeen(Struct, frozen=True, kw_only=True, rename={"rpc_class": "class"}):
    """
    The calls of one rpc that were made.

    Attributes:
        rpc: its name; the whole path if Kiteway does not know it.
        rpc_class: its class, on which retries and time limits depend; null if Kiteway does not know it.
        made: how often it was called, PyMilvus's own retries included.
        worked: how many of these calls succeeded, by gRPC and by the status inside the answer.
        failures: what the others ended with: a status of gRPC, or Milvus's code.
    """

    rpc: str
    rpc_class: RpcClass | None
    made: int
    worked: int
    failures: tuple[str, ...] = ()


class VerifyReport(Struct, frozen=True, kw_only=True, rename="camel"):
    """
    The whole run: the value of `kiteway verify --output json`.

    Attributes:
        schema_version: the version of this document.
        verified: whether every step succeeded.
        address: where.
        server_name: the name in the certificate.
        steps: the steps that were made, in order.
        versions: of client, balancer and server.
        calls: the rpcs that the steps made, by name.
        differences: what is other than where Kiteway's own tests run: the version of Milvus, rpcs that this Milvus or Kiteway
            does not know, and calls that failed and were repeated. One sentence each.
        failure: why it is not verified; null when it is.
        leftover: the run's own collection, if it could not be dropped; else null.
    """

    schema_version: int = SCHEMA_VERSION
    verified: bool
    address: str
    server_name: str
    steps: tuple[Step, ...]
    versions: Versions
    calls: tuple[CallSeen, ...] = ()
    differences: tuple[str, ...] = ()
    failure: Failure | None = None
    leftover: str | None = None
