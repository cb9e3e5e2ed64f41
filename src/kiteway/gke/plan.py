"""Makes the plan from the present state and the options."""

from __future__ import annotations

from kiteway.gke import google, kiteway, steps
from kiteway.gke.live import ClusterReading
from kiteway.gke.names import names
from kiteway.gke.options import CertificateKind, GkeOptions
from kiteway.gke.problems import problems
from kiteway.gke.shell import Shell
from kiteway.gke.step import Plan, Step
from kiteway.gke.steps import Setting


def make_plan(live: ClusterReading, wanted: GkeOptions, shell: Shell) -> Plan:
    """Return every step in order, completed ones included; no step where an error makes the steps meaningless."""
    if live.release is None:
        return Plan((), problems(live, None, wanted, None))
    called = names(live, live.release, wanted)
    found = problems(live, live.release, wanted, called)
    plan = Plan((), found)
    if plan.refused:
        return plan
    return Plan(_steps(Setting(live, live.release, wanted, called, shell)), found)


def _steps(s: Setting) -> tuple[Step, ...]:
    w = s.wanted
    found = [steps.remember(s)]
    if w.google:
        found.append(steps.static_address(s))
    if w.certificate is CertificateKind.SELF_MANAGED:
        found.append(steps.front_certificate(s))
    if w.google:
        found += [steps.backend_certificate(s), google.health_check(s)]
    found.append(kiteway.install(s) if w.kiteway else google.milvus_tls(s))
    if w.google and w.kiteway:
        found.append(kiteway.route(s))
    found.append(steps.front(s))
    if w.google:
        found += [google.endpoint_groups(s), kiteway.readiness(s) if w.kiteway else google.readiness(s)]
    found += [steps.ready(s), steps.dns(s)]
    if w.remove_l4:
        found.append(steps.remove_l4(s))
    return tuple(found)
