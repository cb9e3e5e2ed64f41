"""
The steps that only Kiteway needs: its installation, and what it serves behind Google's balancer.

For a whole cluster Kiteway is installed once; an existing installation with other values is not changed. Behind Google's
balancer each release of Milvus has its own Kiteway beside it, because Google's Ingress leads only to Services of
its own namespace.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kiteway.gke import graceful, objects
from kiteway.gke.diff import diff
from kiteway.gke.names import Names
from kiteway.gke.options import GkeOptions
from kiteway.gke.rollout import rolled_out
from kiteway.gke.step import NO_EFFECT, Effect, Impact, State, Step
from kiteway.gke.steps import Setting, has, written
from kiteway.gke.values import merged, service_annotations
from kiteway.printable import suggested

_GOOGLES_PROBES = ("35.191.0.0/16", "130.211.0.0/22")
_INSTALL_SECONDS = 600.0
_PACKAGED = Path(__file__).resolve().parent.parent / "_chart"
_CHECKOUT = Path(__file__).resolve().parents[3] / "deploy" / "chart"


def chart(wanted: GkeOptions) -> str:
    """Return Kiteway's chart: the requested one, else that of the package or its checkout."""
    return wanted.kiteway_chart or str(_PACKAGED if _PACKAGED.is_dir() else _CHECKOUT)


def values(wanted: GkeOptions, names: Names) -> dict[str, Any]:
    """Return the values of Kiteway's release: the user's own, merged with those that Google's balancer needs."""
    if not wanted.google:
        return dict(wanted.kiteway_values)
    ours = {
        "controller": {
            "ingressClass": names.kiteway_class,
            "ingressWithoutClass": False,
            "namespaces": [wanted.namespace],
            # Google appends the client's address to x-forwarded-for, and then its own.
            "trustedHops": 2,
            "drainSeconds": wanted.draining_timeout_sec,
        },
        "service": {"type": "ClusterIP", "annotations": service_annotations({}, "https", names)},
        "metrics": {"port": objects.KITEWAY_HEALTH[0]},
        "networkPolicy": {
            "metricsFrom": [
                {"namespaceSelector": {}},
                *({"ipBlock": {"cidr": cidr}} for cidr in _GOOGLES_PROBES),
            ]
        },
    }
    return merged(wanted.kiteway_values, ours)


def install(s: Setting) -> Step:
    """Install Kiteway in the cluster."""
    asked, release = values(s.wanted, s.names), s.live.kiteway_release
    now = dict(release.values) if release else {}
    if s.wanted.google:
        current = release is not None and release.status == "deployed" and has(now, asked)
        complete, seen = rolled_out(s.live.get("Deployment", s.names.kiteway_namespace, s.names.kiteway))
    else:
        current = complete = s.live.kiteway
        seen = "its IngressClass is there"
    if not current:
        seen = f"the release {s.names.kiteway} is {release.status}" if release else "it is not there"
    command = s.shell.install(
        s.names.kiteway, chart(s.wanted), s.names.kiteway_namespace, asked, create=not s.wanted.google
    )
    return Step(
        id="kiteway",
        title=f"Install Kiteway in the cluster: release {s.names.kiteway}",
        state=State.TODO if not current else State.DONE if complete else State.WAITING,
        sees=seen,
        effect=NO_EFFECT,
        undo=f"{suggested('helm', 'uninstall', s.names.kiteway)}, if it was installed here.",
        diff="" if current else diff("Kiteway's Helm values", now or None, merged(now, asked)),
        commands=() if current else (command,),
        seconds=_INSTALL_SECONDS,
    )


def route(s: Setting) -> Step:
    """Route the host to Milvus through Kiteway; Milvus stays unchanged, without TLS."""
    return written(
        s,
        [objects.route(s.live, s.wanted, s.names)],
        step="route",
        title=f"Let Kiteway route {s.wanted.host} to Milvus: Ingress {s.names.route}",
        effect=NO_EFFECT,
    )


def readiness(s: Setting) -> Step:
    """Restart Kiteway's Pods that were created before Google's readiness gate; the chart makes their end graceful."""
    workload = s.live.get("Deployment", s.names.kiteway_namespace, s.names.kiteway)
    patch = graceful.restart(s.live)
    same = has(workload, patch)
    complete, seen = rolled_out(workload)
    return Step(
        id="readiness",
        title="Restart Kiteway's Pods, so that they get Google's readiness gate",
        state=State.TODO if not same else State.DONE if complete else State.WAITING,
        sees=f"{seen}; {graceful.gates(s.live)}",
        effect=Effect(Impact.NONE, "No client notices: the Pods end one by one, after their calls."),
        undo="Nothing to undo.",
        diff="" if same else diff(f"Deployment {s.names.kiteway}", None, patch),
        commands=() if same else (s.shell.patch(s.names.kiteway_namespace, s.names.kiteway, patch),),
        seconds=_INSTALL_SECONDS,
    )
