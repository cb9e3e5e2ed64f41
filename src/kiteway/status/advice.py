"""The diagnostics that are shown of an instance with ``kiteway up --to``, whose manifests are Kiteway's own."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from kiteway.diagnostics import Diagnostic

OF_OWN_MANIFESTS: Final = frozenset(
    {
        "AppProtocolMissing",
        "BackendConfigMissingHealthCheck",
        "BackendTimeoutDefault",
        "ConnectionDrainingZero",
        "HealthCheckPath",
        "HealthCheckPort",
        "RestPortMissing",
        "StaticIPMissing",
    }
)
"""Reasons of warnings about what GKE would do with the manifests that `kiteway.quickstart` writes."""


def for_the_user(diagnostics: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
    """Return the diagnostics without advice about Kiteway's own manifests; those about the files of ``--tls`` stay."""
    return tuple([each for each in diagnostics if each.reason not in OF_OWN_MANIFESTS])
