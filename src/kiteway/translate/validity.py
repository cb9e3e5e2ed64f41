"""Certificates grow old by themselves, so they are judged apart from the units, which are kept while nothing changes."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable

from kiteway.certificates.weaknesses import Weakness, validity
from kiteway.diagnostics import Diagnostic, ObjectRef, Severity
from kiteway.model import Certificate
from kiteway.resources import Object
from kiteway.translate.context import Index


def judge(certificates: Iterable[Certificate], index: Index, now: dt.datetime) -> list[Diagnostic]:
    """Return what is wrong with the certificates' validity at ``now``."""
    found = []
    for certificate in certificates:
        problem = validity(certificate.not_before, certificate.not_after, now)
        if problem is not None and certificate.source is not None:
            found.append(_diagnostic(certificate.source, index, problem))
    return found


def _diagnostic(source: ObjectRef, index: Index, problem: Weakness) -> Diagnostic:
    object_: Object | None = index.objects.get((source.kind, source.namespace, source.name))
    if object_ is None:
        return Diagnostic(Severity.WARNING, problem.reason, problem.message, problem.fix, source)
    return object_.diagnostic(Severity.WARNING, problem.reason, problem.message, problem.fix, ("data", "tls.crt"))
