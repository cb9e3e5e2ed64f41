"""The diagnostics of an instance with ``kiteway up --to``, whose manifests are Kiteway's own."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from kiteway.diagnostics import Diagnostic

_OF_OWN_MANIFESTS: Final = frozenset({"BackendConfigMissingHealthCheck", "HealthCheckPort", "RestPortMissing"})
"""Reasons that are about how `kiteway.quickstart` writes the manifests: their user can change none of it there."""


def for_the_user(diagnostics: Iterable[Diagnostic], own_manifests: str | None) -> tuple[Diagnostic, ...]:
    """
    Return the diagnostics without advice about Kiteway's own manifests.

    ``own_manifests`` is their folder; None without any. What is wrong with the user's own files stays.
    """
    if own_manifests is None:
        return tuple(diagnostics)
    return tuple([each for each in diagnostics if not _is_own_advice(each, own_manifests)])


def _is_own_advice(diagnostic: Diagnostic, own_manifests: str) -> bool:
    where = diagnostic.position
    return diagnostic.reason in _OF_OWN_MANIFESTS and where is not None and where.file.startswith(f"{own_manifests}/")
