"""Paths that calls match."""

from __future__ import annotations

from kiteway.diagnostics import Severity
from kiteway.doctor.by_diagnostics import rule_of_reasons
from kiteway.resources import Ingress

RULE = rule_of_reasons(
    "PATHS",
    title="Paths that calls match",
    why="gRPC calls are /milvus.proto.milvus.MilvusService/NAME: a path that covers none of them, or a * where it is not allowed, leaves every call unrouted (failure F12).",
    reasons=frozenset({"PathInvalid", "PathMatchesNoCall", "RulePathOverwrite"}),
    kinds=(Ingress,),
    when_passed="its paths match every call.",
    severity=Severity.WARNING,
)
