"""
A golden case's input: a file of manifests, with fixed certificates and a fixed time.

A line ``# limits: MOST_RULES=2 NamespaceLimits.hosts=3`` gives a case smaller limits than those of
`kiteway.translate.limits`, so that what is beyond them is short enough to read.
"""

from __future__ import annotations

import base64
import contextlib
import datetime as dt
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from google.protobuf.message import Message

from kiteway.diagnostics import Diagnostic, ordered
from kiteway.envoy.settings import EnvoySettings
from kiteway.envoy.xds.build import build, build_endpoints
from kiteway.model import EndpointTable, LoadBalancer
from kiteway.resources import load_documents
from kiteway.translate import Endpoints, Options, translate
from kiteway.translate.shared import limits as limits_module
from kiteway.translate.shared.limits import NamespaceLimits

CASES = Path(__file__).parent / "cases"
CERTIFICATES = Path(__file__).parents[1] / "fixtures" / "certificates"
NOW = dt.datetime(2026, 12, 1, tzinfo=dt.UTC)
"""When the cases happen: the certificates of the fixtures are valid then, but for those named after what they are."""

_PEM = re.compile(rb"@([a-z0-9-]+\.(?:crt|key))\b")
_LIMITS = re.compile(rb"^# limits: (.+)$", re.MULTILINE)
_OF_NAMESPACE = f"{NamespaceLimits.__name__}."


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
    with _limits(text) as of_namespace:
        result = translate(loaded.objects, Options(namespace_limits=of_namespace), NOW, loaded.refused)
    endpoints = Endpoints(loaded.objects)
    table = endpoints.table(result.model.pools)
    messages: Iterable[Message] = (
        *build(result.model, settings or EnvoySettings()),
        *build_endpoints(result.model.pools, table),
    )
    diagnostics = ordered([*loaded.diagnostics, *result.diagnostics, *endpoints.missing(result.model.pools)])
    return Translated(result.model, table, diagnostics, tuple(messages))


@contextlib.contextmanager
def _limits(text: bytes) -> Iterator[NamespaceLimits]:
    """Let the translation have the limits that a case asks for; return those of a namespace."""
    found = _LIMITS.search(text)
    asked = (
        {name: int(value) for name, _, value in (each.partition("=") for each in found[1].decode().split())}
        if found
        else {}
    )
    of_namespace = {name: asked.pop(name) for name in [*asked] if name.startswith(_OF_NAMESPACE)}
    with contextlib.ExitStack() as stack:
        for name, value in asked.items():
            assert hasattr(limits_module, name), f"there is no limit {name}"
            for module in [
                m for key, m in sys.modules.items() if key.startswith("kiteway.translate") and hasattr(m, name)
            ]:
                stack.enter_context(mock.patch.object(module, name, value))
        yield NamespaceLimits(**{name.removeprefix(_OF_NAMESPACE): value for name, value in of_namespace.items()})
