"""The steps that only Google's balancer needs: Milvus with TLS, its health check, its endpoints, its shutdown."""

from __future__ import annotations

from kiteway.gke import graceful, objects, user_yaml
from kiteway.gke.diff import diff
from kiteway.gke.live import dig
from kiteway.gke.names import clustered
from kiteway.gke.rollout import rolled_out
from kiteway.gke.step import NO_EFFECT, Effect, Impact, State, Step
from kiteway.gke.steps import Setting, has, written
from kiteway.gke.values import merged, overlay, user_text

_ROLLOUT_SECONDS = 1800.0
_GROUPS_SECONDS = 900.0


def health_check(s: Setting) -> Step:
    """Write the BackendConfig before the Service names it: for GKE a missing one is an error of the whole Service."""
    return written(
        s,
        [objects.backend_config(s.wanted, s.names, s.wanted.namespace)],
        step="backend-config",
        title="Say how Google checks health, how long a call may take and how long endpoints drain",
        effect=NO_EFFECT,
    )


def milvus_tls(s: Setting) -> Step:
    """Switch Milvus to TLS and annotate its Service, in one Helm upgrade that changes only the release's values."""
    over = overlay(s.release, s.wanted, s.names)
    after = merged(s.release.values, over)
    same = after == dict(s.release.values) and s.release.status == "deployed"
    complete, seen = rolled_out(s.live.workload)
    restarts = "extraConfigFiles" in over
    state = State.TODO if not same else State.DONE if complete else State.WAITING
    return Step(
        id="milvus-tls",
        title="Turn on TLS in Milvus and tell Google about its Service, in one Helm upgrade",
        state=state,
        sees=seen if same else f"revision {s.release.revision} ({s.release.status}) has not all the values",
        effect=_interruption(s) if restarts else NO_EFFECT,
        undo="The earlier values are restored in one Helm upgrade.",
        diff="" if same else diff("Helm values", dict(s.release.values), after),
        commands=() if same else (s.shell.upgrade(s.release, s.wanted, over),),
        seconds=_ROLLOUT_SECONDS,
    )


def endpoint_groups(s: Setting) -> Step:
    """Wait until Google has made the endpoint groups: pods that are created earlier get no readiness gate."""
    groups = graceful.endpoint_groups(s.live.front)
    return Step(
        id="endpoint-groups",
        title="Wait until Google has made the network endpoint groups",
        state=State.DONE if groups else State.WAITING,
        sees=groups or "the Service has no cloud.google.com/neg-status yet",
        effect=NO_EFFECT,
        undo="Google deletes them with the Ingress.",
        seconds=_GROUPS_SECONDS,
    )


def readiness(s: Setting) -> Step:
    """
    Restart the proxies once the endpoint groups are there, with a graceful shutdown.

    Google's readiness gate comes only into pods that are created after that; without it, and without draining, each
    restart answers 502 for a while. The chart has no values for these fields.
    """
    patch = merged(graceful.patch(s.wanted, s.names.container), graceful.restart(s.live))
    before = graceful.fields(s.live.workload, s.names.container)
    same = has(before, patch)
    complete, seen = rolled_out(s.live.workload)
    return Step(
        id="readiness",
        title="Restart the proxies behind the new balancer, so that they start and stop without losing a call",
        state=State.TODO if not same else State.DONE if complete else State.WAITING,
        sees=f"{seen}; {graceful.gates(s.live)}",
        effect=_restart(s),
        undo="The earlier fields of the Deployment are restored; the proxies restart once.",
        diff="" if same else diff(f"Deployment {s.names.workload}", before, merged(before, patch)),
        commands=() if same else (s.shell.patch(s.wanted.namespace, s.names.workload, patch),),
        seconds=_ROLLOUT_SECONDS,
    )


def _interruption(s: Setting) -> Effect:
    if user_yaml.lookup(user_yaml.read(user_text(s.release)), user_yaml.TLS_MODE) == 1:
        return _restart(s)
    where = f" on {s.live.l4_address}" if s.live.l4_address else ""
    return Effect(
        Impact.PLAINTEXT_INTERRUPTED,
        f"Every plaintext client{where} is cut off when its proxy restarts, until it connects with TLS; "
        "`--data-plane google+kiteway` and `--data-plane kiteway` interrupt no client.",
    )


def _restart(s: Setting) -> Effect:
    if not clustered(s.release):
        return Effect(Impact.INTERRUPTED, "Milvus standalone is stopped before it starts again: about a minute.")
    replicas = int(dig(s.live.workload, "spec", "replicas") or 1)
    several = "one proxy after the other" if replicas > 1 else "the one proxy, after its successor is ready"
    return Effect(Impact.RECONNECT, f"Clients lose their connection once and connect again: {several} restarts.")
