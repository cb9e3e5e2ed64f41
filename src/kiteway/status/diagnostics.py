"""Diagnostics as plain values."""

from __future__ import annotations

from typing import Any

from kiteway.diagnostics import Diagnostic


def diagnostic_report(diagnostic: Diagnostic) -> dict[str, Any]:
    """Return a diagnostic as plain values."""
    position, about = diagnostic.position, diagnostic.object
    return {
        "severity": str(diagnostic.severity),
        "reason": diagnostic.reason,
        "object": {"kind": about.kind, "namespace": about.namespace, "name": about.name} if about else None,
        "position": {"file": position.file, "line": position.line, "column": position.column} if position else None,
        "path": diagnostic.path,
        "message": diagnostic.message,
        "fix": diagnostic.fix,
        "docs": diagnostic.docs,
    }
