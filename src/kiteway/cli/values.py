"""Options of the commands that read manifests, and the functions that parse their values."""

from __future__ import annotations

import dataclasses
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

CertificateFilesOption = Annotated[
    list[str] | None,
    typer.Option(
        "--tls",
        metavar="[[NAMESPACE/]SECRET=]CERT,KEY",
        help="Files with a certificate and its key, for the Secret that an Ingress names; read again when they change. "
        "With --to leave the Secret's name out. May be repeated.",
    ),
]
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
        help="A limit for all objects of a namespace together: hosts, paths, challenges, certificates, bytes, cache or endpoints "
        "(docs/reference/limits.md). May be repeated.",
        show_default=", ".join(f"{name}={getattr(NamespaceLimits(), name)}" for name in _NAMESPACE_LIMITS),
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
