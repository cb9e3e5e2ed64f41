"""Rolls back: restores the state recorded before the first change, in reverse order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kiteway.diagnostics import Diagnostic, Severity
from kiteway.gke import graceful
from kiteway.gke.diff import diff
from kiteway.gke.live import ClusterReading, Object, Release, annotations_of, dig
from kiteway.gke.names import Names
from kiteway.gke.objects import MANAGED_BY
from kiteway.gke.options import GkeOptions
from kiteway.gke.record import recorded_names, recorded_options, recorded_release, without_server_fields
from kiteway.gke.rollout import rolled_out
from kiteway.gke.shell import Shell
from kiteway.gke.step import NO_EFFECT, Command, Effect, Impact, Plan, State, Step
from kiteway.gke.user_yaml import UserYamlError
from kiteway.gke.values import reverted
from kiteway.resources.annotations import STATUS_PREFIX

_ROLLOUT_SECONDS = 1800.0
_NO_UNDO = "`kiteway gke apply` does it again."


@dataclass(frozen=True, slots=True)
class _Back:
    live: ClusterReading
    release: Release
    record: Mapping[str, Any]
    wanted: GkeOptions
    names: Names
    shell: Shell


def make_rollback(live: ClusterReading, shell: Shell, *, destroy: bool = False) -> Plan:
    """
    Return the steps back to the recorded state; with ``destroy``, the address at Google is released, too.

    Without a record there is nothing to roll back, and no step.
    """
    if live.record is None or live.release is None:
        message = "there is no record of kiteway gke for this release."
        return Plan((), (Diagnostic(Severity.NOTE, "NothingRecorded", message),))
    if live.release.status.startswith("pending-"):
        message = f"another operation on the release is running or was interrupted: {live.release.status}."
        fix = "Wait until it ends; if none is running, `helm rollback` the release to its last good revision."
        return Plan((), (Diagnostic(Severity.ERROR, "ReleasePending", message, fix),))
    wanted, names = recorded_options(live.record), recorded_names(live.record)
    b = _Back(live, live.release, live.record, wanted, names, shell)
    steps = [_objects(b, "ingress", "Remove the Layer-7 balancer", ("Ingress", "ManagedCertificate", "FrontendConfig"))]
    if not wanted.kiteway:
        steps.append(_workload(b))
    try:
        steps.append(_values(b))
    except UserYamlError as error:
        fix = "Correct it in the release's values first."
        return Plan((), (Diagnostic(Severity.ERROR, "UserYamlUnreadable", str(error), fix),))
    if wanted.kiteway:
        steps.append(_kiteway(b))
    else:
        steps.append(_annotations(b))
    if wanted.google:
        steps.append(_objects(b, "backend-config", "Remove the health check", ("BackendConfig",)))
    steps.append(_certificates(b))
    if destroy:
        steps.append(_address(b))
    steps.append(_forget(b))
    return Plan(tuple(steps))


def _objects(b: _Back, step: str, title: str, kinds: Sequence[str]) -> Step:
    commands: list[Command] = []
    texts: list[str] = []
    for kind, name in (
        ("Ingress", b.names.ingress),
        ("Ingress", b.names.route),
        ("ManagedCertificate", b.names.certificate),
        ("FrontendConfig", b.names.frontend_config),
        ("BackendConfig", b.names.backend_config),
    ):
        if kind not in kinds:
            continue
        now = b.live.get(kind, b.wanted.namespace, name)
        before = _recorded(b.record, kind, name)
        if (now is None and before is None) or (before is not None and _same(now, before)):
            continue
        shown = None if now is None else without_server_fields(now)
        texts.append(diff(f"{kind} {b.wanted.namespace}/{name}", shown, before))
        if before is not None:
            commands.append(b.shell.replace(before))
        else:
            commands.append(b.shell.delete(kind, b.wanted.namespace, name))
    cut = Effect(Impact.INTERRUPTED, "Clients of the new address are cut off; the old one is not touched.")
    return Step(
        id=step,
        title=title,
        state=State.TODO if commands else State.DONE,
        sees="it differs from the recorded state" if commands else "it has the recorded state",
        effect=cut if step == "ingress" else NO_EFFECT,
        undo=_NO_UNDO,
        diff="".join(texts),
        commands=tuple(commands),
    )


def _workload(b: _Back) -> Step:
    before = b.record["workload"]
    now = graceful.fields(b.live.workload, b.names.container)
    same = _present(now) == _present(before)
    return Step(
        id="readiness",
        title="Restore the Deployment's fields",
        state=State.DONE if same else State.TODO,
        sees="they have the recorded values" if same else "they have the values of kiteway gke",
        effect=Effect(Impact.RECONNECT, "Clients lose their connection once and connect again."),
        undo=_NO_UNDO,
        diff=diff(f"Deployment {b.names.workload}", now, before) if not same else "",
        commands=() if same else (b.shell.patch(b.wanted.namespace, b.names.workload, before),),
    )


def _values(b: _Back) -> Step:
    after = reverted(b.release.values, recorded_release(b.record, b.release), b.wanted, b.names)
    same = after == dict(b.release.values) and b.release.status == "deployed"
    complete, seen = rolled_out(b.live.workload)
    cut = Effect(Impact.INTERRUPTED, "Clients that use TLS are cut off; plaintext ones can connect again.")
    return Step(
        id="values",
        title="Restore the release's values, in one Helm upgrade",
        state=State.TODO if not same else State.DONE if complete else State.WAITING,
        sees=seen if same else f"revision {b.release.revision} has the values of kiteway gke",
        effect=NO_EFFECT if b.wanted.kiteway else cut,
        undo=_NO_UNDO,
        diff="" if same else diff("Helm values", dict(b.release.values), after),
        commands=() if same else (b.shell.upgrade(b.release, b.wanted, after, reset=True),),
        seconds=_ROLLOUT_SECONDS,
    )


def _annotations(b: _Back) -> Step:
    """Restore annotations that a user had made by hand: Helm has removed them with Kiteway's."""
    now = annotations_of(b.live.service)
    before: Mapping[str, str | None] = b.record["annotations"]
    missing = {key: value for key, value in before.items() if now.get(key) != value}
    texts = [f"{key}={value}" if value is not None else f"{key}-" for key, value in sorted(missing.items())]
    command = b.shell.kubectl("annotate", "service", b.names.service, "-n", b.wanted.namespace, "--overwrite", *texts)
    return Step(
        id="annotations",
        title="Restore the Service's annotations that were made by hand",
        state=State.TODO if missing else State.DONE,
        sees="some differ" if missing else "they have the recorded values",
        effect=NO_EFFECT,
        undo=_NO_UNDO,
        diff=diff(f"Service {b.names.service}", {key: now.get(key) for key in missing}, missing) if missing else "",
        commands=(command,) if missing else (),
    )


def _certificates(b: _Back) -> Step:
    ours = [
        name
        for name in (b.names.certificate, b.names.backend_certificate)
        if _is_ours(b.live.get("Secret", b.wanted.namespace, name))
    ]
    return Step(
        id="certificates",
        title="Delete the certificates that kiteway gke made",
        state=State.TODO if ours else State.DONE,
        sees=", ".join(f"Secret {name}" for name in ours) or "there are none",
        effect=NO_EFFECT,
        undo="A new apply makes others.",
        commands=tuple(b.shell.delete("Secret", b.wanted.namespace, name) for name in ours),
    )


def _kiteway(b: _Back) -> Step:
    there = b.live.kiteway or b.live.kiteway_release is not None
    ours = not b.record["kiteway"] and there
    command = b.shell.helm("uninstall", b.names.kiteway, "-n", b.names.kiteway_namespace, "--ignore-not-found")
    return Step(
        id="kiteway",
        title="Uninstall Kiteway from the cluster",
        state=State.TODO if ours else State.DONE,
        sees="it was installed here" if ours else "it was not installed here, or is gone",
        effect=NO_EFFECT,
        undo=_NO_UNDO,
        commands=(command,) if ours else (),
    )


def _address(b: _Back) -> Step:
    found = b.live.static_address
    ours = bool(b.record.get("createdStaticAddress"))
    command = b.shell.gcloud("compute", "addresses", "delete", b.names.static_address, "--global")
    state = State.DONE if not ours or (found.known and found.address is None) else State.TODO
    return Step(
        id="static-ip",
        title=f"Release the address {b.names.static_address} at Google",
        state=state,
        sees="it was not reserved here" if not ours else f"it is {found.address or 'gone'}",
        effect=NO_EFFECT,
        undo="It cannot be undone: the next address is another.",
        commands=(command,) if state is State.TODO else (),
    )


def _forget(b: _Back) -> Step:
    return Step(
        id="record",
        title="Delete the record of the earlier state",
        state=State.TODO,
        sees=f"the Secret {b.names.record} is there",
        effect=NO_EFFECT,
        undo=_NO_UNDO,
        commands=(b.shell.delete("Secret", b.wanted.namespace, b.names.record),),
    )


def _recorded(record: Mapping[str, Any], kind: str, name: str) -> Object | None:
    return next((i for i in record["objects"] if i["kind"] == kind and i["metadata"]["name"] == name), None)


def _same(now: Object | None, before: Object) -> bool:
    """Compare an object with its recorded state, without the fields that GKE writes."""
    return now is not None and _comparable(without_server_fields(now)) == _comparable(before)


def _comparable(item: Object) -> dict[str, Any]:
    kept = {key: value for key, value in annotations_of(item).items() if not key.startswith(STATUS_PREFIX)}
    return {**item, "metadata": {**item["metadata"], "annotations": kept}}


def _present(value: Any) -> Any:
    """Drop None and 0 from maps: the API server omits a minReadySeconds of 0."""
    if isinstance(value, Mapping):
        return {key: _present(item) for key, item in value.items() if item not in (None, 0)}
    if isinstance(value, list):
        return [_present(item) for item in value]
    return value


def _is_ours(secret: Object | None) -> bool:
    return secret is not None and MANAGED_BY.items() <= (dig(secret, "metadata", "labels") or {}).items()
