"""A golden case's input: a file of manifests, with fixed certificates and a fixed time."""

from __future__ import annotations

import base64
import datetime as dt
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from google.protobuf.message import Message

from kiteway.diagnostics import Diagnostic, ordered
from kiteway.envoy.settings import EnvoySettings
from kiteway.envoy.xds.build import build, build_endpoints
from kiteway.model import EndpointTable, LoadBalancer
from kiteway.resources import load_documents
from kiteway.translate import Endpoints, Options, translate

CASES = Path(__file__).parent / "cases"
CERTIFICATES = Path(__file__).parents[1] / "fixtures" / "certificates"
NOW = dt.datetime(2026, 12, 1, tzinfo=dt.UTC)
"""When the cases happen: the certificates of the fixtures are valid then, but for those named after what they are."""

_PEM = re.compile(rb"@([a-z0-9-]+\.(?:crt|key))\b")


@dataclass(frozen=True, slots=True)
class Translated:
    """What a file of manifests came to."""

    model: LoadBalancer
    endpoints: EndpointTable
    diagnostics: tuple[Diagnostic, ...]
    messages: tuple[Message, ...]


def manifests(text: bytes) -> bytes:
    """Put the fixtures' PEM files (base64) where a manifest says ``@NAME.crt`` or ``@NAME.key``."""
    return _PEM.sub(lambda found: base64.b64encode((CERTIFICATES / found[1].decode()).read_bytes()), text)


def translate_text(text: bytes, file: str, settings: EnvoySettings | None = None) -> Translated:
    """Translate a file of manifests all the way to xDS."""
    loaded = load_documents(manifests(text), file)
    result = translate(loaded.objects, Options(), NOW, loaded.refused)
    endpoints = Endpoints(loaded.objects)
    table = endpoints.table(result.model.pools)
    messages: Iterable[Message] = (
        *build(result.model, settings or EnvoySettings()),
        *build_endpoints(result.model.pools, table),
    )
    diagnostics = ordered([*loaded.diagnostics, *result.diagnostics, *endpoints.missing(result.model.pools)])
    return Translated(result.model, table, diagnostics, tuple(messages))
