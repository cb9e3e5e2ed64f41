"""Which side closes an idle connection first."""

from __future__ import annotations

from collections.abc import Iterator

from kiteway.diagnostics import Severity
from kiteway.doctor.manifests import Manifests
from kiteway.doctor.rule import Finding, Rule, Scope, failed, passed

BALANCER_IDLE = 240.0
"""Seconds that Kiteway keeps an idle connection to Milvus (`kiteway.envoy.xds.clusters.UPSTREAM_IDLE`)."""

_NEW = ("proxy", "http", "maxConnectionIdleInterval")
_OLD = ("proxy", "http", "idleTimeout")
_FIX = f"Set {'.'.join(_OLD)}: 620s: Kiteway keeps idle connections for 240 s, Google's balancers for 600 s."


def _check(manifests: Manifests) -> Iterator[Finding]:
    for config in manifests.milvus:
        new, old = config.seconds(*_NEW), config.seconds(*_OLD)
        if new is not None and old is not None and new != old:
            yield failed(
                config.ref,
                f"{'.'.join(_NEW)} and {'.'.join(_OLD)} differ: a Milvus that knows both does not start.",
                f"Remove {'.'.join(_OLD)} if Milvus knows {'.'.join(_NEW)}, else the other one.",
                severity=Severity.ERROR,
                position=config.at(*_NEW),
            )
            continue
        seconds, path = (old, _OLD) if new is None else (new, _NEW)
        if seconds is None:
            yield passed(
                config.ref,
                f"Milvus's own 300 s are longer than Kiteway's {BALANCER_IDLE:g} s; for REST behind a balancer of Google set 620s.",
            )
        elif 0 < seconds <= BALANCER_IDLE:
            yield failed(
                config.ref,
                f"Milvus closes an idle connection after {seconds:g} s, and Kiteway keeps it for {BALANCER_IDLE:g} s: a call that "
                "is sent while Milvus closes it may be lost, and a write is not sent again.",
                _FIX,
                position=config.at(*path),
            )
        else:
            yield passed(config.ref, f"Kiteway closes an idle connection before Milvus does ({seconds:g} s).")


RULE = Rule(
    "MILVUS_IDLE_TIMEOUT",
    "Idle connections",
    "From 2.6 on Milvus closes an idle connection after proxy.http.idleTimeout, 300 s by default; the newest 3.x call the key "
    "maxConnectionIdleInterval (pkg/util/paramtable/http_param.go). Where REST and gRPC share the port, that is gRPC's "
    "connection, too. The balancer must close it first.",
    Scope.FILES,
    _check,
    Severity.WARNING,
)
