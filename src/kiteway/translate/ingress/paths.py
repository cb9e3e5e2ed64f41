"""Paths of an Ingress as a URL map matches them."""

from __future__ import annotations

import re

from kiteway.model import PathMatch, PathMatchType
from kiteway.resources.kinds.ingress import HTTPIngressPath, PathType
from kiteway.resources.places import Path, quoted
from kiteway.translate.ingress.context import IngressContext
from kiteway.translate.shared.limits import LONGEST_PATH
from kiteway.translate.shared.routes import EVERYTHING, MILVUS_SERVICE

_OTHERS = ("/v1/", "/v2/", "/.well-known/acme-challenge/")
_EXPRESSION = re.compile(r"[()\[\]|^$+\\]|\.\*")
_NO_EXPRESSION = (
    "Regular expressions are not read. Write / with pathType Prefix: every gRPC call is below it, at "
    f"{MILVUS_SERVICE}/NAME, and reaches Milvus with the path that the client sent."
)
_WITHOUT_STAR = "Write the path without it; pathType Prefix covers everything below a path."
_NO_PATH = re.compile(r"[\x00-\x20\x7f]")


def path_match(context: IngressContext, path: HTTPIngressPath, at: Path) -> PathMatch | None:
    """
    Return what a path matches, as ingress-gce puts it into a URL map; None with a diagnostic where GKE refuses it.

    ``ImplementationSpecific`` is passed through (``/foo`` is exact, ``/foo/*`` a prefix, empty is everything); ``*``
    is allowed only with this type, at the end of the path, after a slash.
    """
    text = path.path
    if len(text) > LONGEST_PATH:
        context.error(
            context.ingress,
            "PathInvalid",
            f"{quoted(text)} has {len(text)} characters; GCP allows {LONGEST_PATH}.",
            "Write a shorter prefix of it.",
            at,
        )
        return None
    if _NO_PATH.search(text):
        context.error(
            context.ingress,
            "PathInvalid",
            f"{quoted(text)} has a space or a control character, which no path has.",
            "Write it as it is sent, percent-encoded.",
            at,
        )
        return None
    if "?" in text or "#" in text:
        context.error(
            context.ingress,
            "PathInvalid",
            f'"{text}" has a ? or a #, which no path has: what follows it is no part of the path.',
            _NO_EXPRESSION if is_expression(text) else "Write the path alone.",
            at,
        )
        return None
    if path.path_type is PathType.IMPLEMENTATION_SPECIFIC:
        return _pass_through(context, text, path.path_type, at)
    if "*" in text:
        _refuse(context, text, f"pathType {path.path_type} does not allow it", at)
        return None
    if path.path_type is PathType.PREFIX:
        return PathMatch(PathMatchType.PREFIX, text.rstrip("/") or "/")
    return _exact(context, text, path.path_type, at)


def _pass_through(context: IngressContext, text: str, path_type: PathType, at: Path) -> PathMatch | None:
    if text in {"", "/*"}:
        return EVERYTHING
    if text.endswith("/*") and "*" not in text[:-1]:
        return PathMatch(PathMatchType.STRING_PREFIX, text[:-1])
    if "*" in text:
        _refuse(context, text, "a URL map allows it only as the last character, after a slash", at)
        return None
    return _exact(context, text, path_type, at)


def _exact(context: IngressContext, text: str, path_type: PathType, at: Path) -> PathMatch:
    if text == "/":
        context.warn(
            context.ingress,
            "PathMatchesNoCall",
            f"the path / with pathType {path_type} matches / alone: no gRPC call has this path.",
            "Use pathType Prefix, or write /* with pathType ImplementationSpecific.",
            at,
        )
    return PathMatch(PathMatchType.EXACT, text)


def _refuse(context: IngressContext, text: str, why: str, at: Path) -> None:
    context.error(
        context.ingress,
        "PathInvalid",
        f'"{text}" has a * where it must not: {why}.',
        _NO_EXPRESSION if is_expression(text) else _WITHOUT_STAR,
        at,
    )


def is_expression(text: str) -> bool:
    """Return whether a path is written as a regular expression, which ingress-nginx reads and neither GKE nor Kiteway."""
    return _EXPRESSION.search(text) is not None


def leads_to_milvus(match: PathMatch) -> bool:
    """Return whether a path matches a gRPC call of Milvus."""
    match match.type:
        case PathMatchType.EXACT:
            return match.path.startswith(f"{MILVUS_SERVICE}/")
        case PathMatchType.PREFIX:
            return match.path in ("/", MILVUS_SERVICE) or match.path.startswith(f"{MILVUS_SERVICE}/")
        case PathMatchType.STRING_PREFIX:
            return MILVUS_SERVICE.startswith(match.path) or match.path.startswith(MILVUS_SERVICE)


def is_for_others(match: PathMatch) -> bool:
    """Return whether a path is for Milvus's REST API or for an ACME challenge, so that its host need take no gRPC call."""
    return match.path.startswith(_OTHERS)
