"""Options of several commands, and the functions that parse their values."""

from __future__ import annotations

import dataclasses
import ipaddress
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from kiteway.model import TLSProfile
from kiteway.probe import parse_endpoint
from kiteway.sources.certificate_files import CertificateFiles
from kiteway.sources.static import StaticEndpoint
from kiteway.translate.shared.limits import NamespaceLimits

CLUSTER_PANEL = "Cluster"
KubeconfigOption = Annotated[
    Path | None,
    typer.Option(
        "--kubeconfig",
        metavar="FILE",
        help="The kubeconfig: cluster and credentials.",
        show_default="the Pod's service account, else $KUBECONFIG, else ~/.kube/config",
        rich_help_panel=CLUSTER_PANEL,
    ),
]
FilesOption = Annotated[
    list[Path] | None,
    typer.Option("--filename", "-f", metavar="PATH", help="A manifest, or a folder of them; may be repeated."),
]
DataDirOption = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        metavar="DIR",
        help="The directory with the instance's files.",
        show_default="~/.local/state/kiteway",
    ),
]
MetricsBindOption = Annotated[
    str | None,
    typer.Option(
        "--metrics-bind",
        metavar="ADDRESS:PORT",
        help="The address for /metrics (Prometheus), /ready and /live, without TLS or credentials.",
        show_default="none",
    ),
]
AccessLogOption = Annotated[
    bool,
    typer.Option(
        "--access-log/--no-access-log",
        help="Write logs/access.log in the data directory; the logging field of a BackendConfig sets the share.",
    ),
]
LogCallsOption = Annotated[
    bool,
    typer.Option(
        "--log-calls",
        help="Also log the content of gRPC calls and answers: users, names of databases and collections, nq, limit, "
        "consistency, rows, Milvus's code. A Search then costs Envoy a quarter more instructions.",
    ),
]
CertificateFilesOption = Annotated[
    list[str] | None,
    typer.Option(
        "--tls",
        metavar="[[NAMESPACE/]SECRET=]CERT,KEY",
        help="Files with a certificate and its key, for the Secret that an Ingress names; read again when they change. "
        "With --to leave the Secret's name out. May be repeated.",
    ),
]


def parse_bind(text: str, option: str, example: str) -> str:
    """
    Read the ``ADDRESS:PORT`` of ``option``; ``example`` is a valid one.

    Raises:
        ValueError: the value is invalid; the message says why.
    """
    address, _, port = text.rpartition(":")
    if not address or not port.isdecimal() or not 1 <= int(port) <= 65535:
        raise ValueError(f'"{text}" of {option} is not ADDRESS:PORT, e.g. {example}')
    try:
        ipaddress.ip_address(address.strip("[]"))
    except ValueError:
        raise ValueError(f'"{address}" of {option} is not an IP address, e.g. 127.0.0.1') from None
    return text


def parse_metrics_bind(text: str) -> str:
    """Read ``ADDRESS:PORT``, where the metrics are served. Raises ``ValueError``."""
    return parse_bind(text, "--metrics-bind", "127.0.0.1:9092")


SSLPolicyOption = Annotated[
    list[str] | None,
    typer.Option(
        "--ssl-policy",
        metavar="NAME=PROFILE",
        help="The profile for a FrontendConfig's sslPolicy: COMPATIBLE, MODERN or RESTRICTED. May be repeated.",
    ),
]


def parse_ssl_policies(texts: Iterable[str]) -> dict[str, TLSProfile]:
    """
    Read a list of ``NAME=PROFILE``.

    Raises:
        ValueError: the value is invalid; the message says why.
    """
    found: dict[str, TLSProfile] = {}
    for text in texts:
        name, _, profile = text.partition("=")
        if not name or profile not in tuple(TLSProfile):
            raise ValueError(f'"{text}" is not NAME=PROFILE with a profile of {", ".join(TLSProfile)}')
        found[name] = TLSProfile(profile)
    return found


_NAMESPACE_LIMITS = tuple(one.name for one in dataclasses.fields(NamespaceLimits))

NamespaceLimitOption = Annotated[
    list[str] | None,
    typer.Option(
        "--namespace-limit",
        metavar="WHAT=NUMBER",
        help="A limit for all objects of a namespace together: hosts, paths, challenges, certificates, bytes or cache "
        "(docs/reference/limits.md). May be repeated.",
        show_default=", ".join(f"{name}={getattr(NamespaceLimits(), name)}" for name in _NAMESPACE_LIMITS),
    ),
]

CacheMemoryOption = Annotated[
    int,
    typer.Option(
        "--cache-memory",
        metavar="BYTES",
        min=0,
        help="The memory of the caches of all namespaces together; the oldest MilvusPolicies keep theirs.",
    ),
]


def parse_namespace_limits(texts: Iterable[str]) -> NamespaceLimits:
    """
    Read a list of ``WHAT=NUMBER``; limits that are not in the list have their defaults.

    Raises:
        ValueError: the value is invalid; the message says why.
    """
    found: dict[str, int] = {}
    for text in texts:
        what, _, number = text.partition("=")
        if what not in _NAMESPACE_LIMITS or re.fullmatch(r"[1-9][0-9]{0,14}", number) is None:
            known = ", ".join(_NAMESPACE_LIMITS)
            raise ValueError(f'"{text}" of --namespace-limit is not WHAT=NUMBER with one of {known}, e.g. hosts=5000')
        found[what] = int(number)
    return NamespaceLimits(**found)


def parse_certificate_files(text: str, default: str | None) -> CertificateFiles:
    """
    Read ``[[NAMESPACE/]SECRET=]CERT,KEY``; ``default`` is the Secret's name when it is left out.

    Raises:
        ValueError: the value is invalid; the message says why.
    """
    named, equals, rest = text.rpartition("=")
    namespace, _, secret = (named if equals else default or "").rpartition("/")
    certificate, comma, key = rest.partition(",")
    if not secret or not comma or not certificate or not key:
        form = "CERT,KEY" if default else "SECRET=CERT,KEY"
        raise ValueError(f'"{text}" is not {form}, e.g. {"" if default else "milvus-tls="}tls.crt,tls.key')
    for file in (certificate, key):
        if not Path(file).is_file():
            raise ValueError(f"there is no file {file}, which --tls names")
    return CertificateFiles(
        namespace or "default", secret, str(Path(certificate).absolute()), str(Path(key).absolute())
    )


def parse_static_endpoint(text: str) -> StaticEndpoint:
    """
    Read ``[NAMESPACE/]SERVICE=HOST:PORT[,health=PORT]``.

    Raises:
        ValueError: the value is invalid; the message says why.
    """
    service, equals, rest = text.partition("=")
    address, *extras = rest.split(",")
    if not equals or not service or not address:
        raise ValueError(f'"{text}" is not SERVICE=HOST:PORT[,health=PORT], e.g. my-release-milvus=127.0.0.1:19530')
    namespace, _, name = service.rpartition("/")
    endpoint = parse_endpoint(address, 19530)
    health: int | None = None
    for extra in extras:
        health = parse_health(extra)
        if health is None:
            raise ValueError(f'"{extra}" in "{text}" is not health=PORT')
    return StaticEndpoint(namespace or "default", name, endpoint.host, endpoint.port, health)


def parse_health(extra: str) -> int | None:
    """Read ``health=PORT``; None for any other text."""
    key, _, value = extra.partition("=")
    return int(value) if key == "health" and value.isdecimal() and 1 <= int(value) <= 65535 else None
