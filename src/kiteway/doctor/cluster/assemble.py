"""Makes facts from the answers of the API server, in pure functions."""

from __future__ import annotations

import datetime as dt
from collections.abc import Container, Iterable, Mapping
from typing import Any

from kiteway.diagnostics import ObjectRef, ordered
from kiteway.doctor.cluster.facts import (
    HELM_RELEASE,
    NEG_GATE,
    Budget,
    ClusterFacts,
    Gate,
    KubernetesEvent,
    Pod,
    Unread,
    Written,
)
from kiteway.doctor.cluster.focus import focus, instances
from kiteway.doctor.cluster.helm import read_release
from kiteway.doctor.cluster.snapshot import BUDGET, EVENT, POD, Raw, Snapshot
from kiteway.doctor.manifests import Manifests
from kiteway.doctor.milvus_config import MilvusConfig, helm_values
from kiteway.gke.live import Release, annotations_of, balancer_address, dig
from kiteway.resources import IngressClass, ManagedCertificate, load_object
from kiteway.resources import annotations as keys
from kiteway.sources.kubernetes.kinds import WATCHED
from kiteway.sources.kubernetes.store import substance
from kiteway.translate import Endpoints, Options, translate, with_meant

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_ENDED = frozenset({"Succeeded", "Failed"})


def assemble(snapshot: Snapshot, release: str, now: dt.datetime) -> ClusterFacts:
    """
    Return the facts of a release; the addresses are not probed yet.

    Args:
        snapshot: the reading.
        release: the release's name.
        now: the time that ages and certificates are judged by.
    """
    helm = read_release(snapshot.release) if snapshot.release is not None else None
    unread = snapshot.unread
    if snapshot.release is not None and helm is None:
        unread = (*unread, Unread(HELM_RELEASE, release, "what Helm keeps of it cannot be decoded."))
    loaded = [load_object(_typed(kind.cls.KIND, raw)) for kind in WATCHED for raw in snapshot.of(kind.cls.KIND)]
    objects = [o for each in loaded for o in each.objects]
    refused = tuple(ref for each in loaded for ref in each.refused)
    found = focus(objects, release, refused)
    own = found.objects
    reported = [d for each in loaded for d in each.diagnostics if d.object in found.refs]
    result = translate(own, Options(gke=snapshot.gke), now, refused)
    meant = with_meant(result.diagnostics, objects, "The namespace has")
    return ClusterFacts(
        now=now,
        server=snapshot.server,
        namespace=snapshot.namespace,
        name=release,
        problem=snapshot.problem,
        unread=unread,
        gke=snapshot.gke,
        manifests=Manifests(own, ordered([*reported, *meant]), _milvus(helm)),
        instances=instances(objects),
        release=helm,
        addresses=_addresses(snapshot.of("Ingress")),
        backends=_backends(snapshot.of("Ingress")),
        issued=frozenset(o.status.certificate_name for o in objects if isinstance(o, ManagedCertificate)),
        neg_written=_neg_written(snapshot.of("Service")),
        pods=tuple(_pod(raw) for raw in snapshot.of(POD) if _runs(raw)),
        budgets=tuple(_budget(raw) for raw in snapshot.of(BUDGET)),
        events=_events(snapshot.of(EVENT), found.refs),
        classes={o.metadata.name: o.spec.controller for o in objects if isinstance(o, IngressClass)},
        no_endpoints=tuple(Endpoints(own).missing(result.model.pools)),
    )


def _typed(kind: str, raw: Raw) -> dict[str, Any]:
    """Return an object with the apiVersion and kind that a list's items lack; of its status only the fields that rules read."""
    watched = next(each for each in WATCHED if kind == each.cls.KIND)
    found = substance(raw, watched)
    if kind == ManagedCertificate.KIND and isinstance(raw.get("status"), Mapping):
        found["status"] = raw["status"]
    return found


def _milvus(release: Release | None) -> tuple[MilvusConfig, ...]:
    if release is None:
        return ()
    return (helm_values(release.effective, ObjectRef("HelmRelease", release.namespace, release.name)),)


def _ref(kind: str, raw: Raw) -> ObjectRef:
    return ObjectRef(kind, dig(raw, "metadata", "namespace") or "", dig(raw, "metadata", "name") or "")


def _time(value: Any) -> dt.datetime | None:
    try:
        found = dt.datetime.fromisoformat(str(value))
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=dt.UTC)


def _addresses(ingresses: Iterable[Raw]) -> dict[ObjectRef, str]:
    return {_ref("Ingress", raw): address for raw in ingresses if (address := balancer_address(raw))}


def _backends(ingresses: Iterable[Raw]) -> dict[ObjectRef, str]:
    key = f"{keys.STATUS_PREFIX}backends"
    return {_ref("Ingress", raw): text for raw in ingresses if (text := annotations_of(raw).get(key))}


def _neg_written(services: Iterable[Raw]) -> dict[ObjectRef, Written]:
    found = {}
    for raw in services:
        for entry in dig(raw, "metadata", "managedFields") or ():
            at = _time(entry.get("time"))
            owned = dig(entry, "fieldsV1", "f:metadata", "f:annotations") or {}
            if at is not None and f"f:{keys.NEG}" in owned:
                found[_ref("Service", raw)] = Written(str(entry.get("manager") or "somebody"), at)
    return found


def _runs(raw: Raw) -> bool:
    return not dig(raw, "metadata", "deletionTimestamp") and dig(raw, "status", "phase") not in _ENDED


def _pod(raw: Raw) -> Pod:
    conditions = {c.get("type"): c for c in dig(raw, "status", "conditions") or ()}
    gates = [gate.get("conditionType") for gate in dig(raw, "spec", "readinessGates") or ()]
    seen = conditions.get(NEG_GATE) or {}
    gate = Gate(status=seen.get("status") or "", reason=seen.get("reason") or "", message=seen.get("message") or "")
    grace = dig(raw, "spec", "terminationGracePeriodSeconds")
    return Pod(
        ref=_ref(POD, raw),
        labels=dig(raw, "metadata", "labels") or {},
        created=_time(dig(raw, "metadata", "creationTimestamp")) or _EPOCH,
        ready=(conditions.get("Ready") or {}).get("status") == "True",
        gate=gate if NEG_GATE in gates else None,
        pre_stop=any(dig(c, "lifecycle", "preStop") for c in dig(raw, "spec", "containers") or ()),
        grace=30 if grace is None else grace,
    )


def _budget(raw: Raw) -> Budget:
    return Budget(
        ref=_ref(BUDGET, raw),
        labels=dig(raw, "spec", "selector", "matchLabels") or {},
        allowed=dig(raw, "status", "disruptionsAllowed") or 0,
        expected=dig(raw, "status", "expectedPods") or 0,
    )


def _events(raws: Iterable[Raw], refs: Container[ObjectRef]) -> tuple[KubernetesEvent, ...]:
    found = []
    for raw in raws:
        about = dig(raw, "involvedObject") or {}
        ref = ObjectRef(about.get("kind") or "", about.get("namespace") or "", about.get("name") or "")
        if ref in refs:
            found.append(
                KubernetesEvent(
                    about=ref,
                    warning=raw.get("type") == "Warning",
                    reason=str(raw.get("reason") or ""),
                    message=" ".join(str(raw.get("message") or "").split()),
                    at=_last_seen(raw),
                )
            )
    return tuple(sorted(found, key=lambda event: event.at, reverse=True))


def _last_seen(raw: Raw) -> dt.datetime:
    times = (dig(raw, "series", "lastObservedTime"), *(raw.get(k) for k in ("lastTimestamp", "eventTime")))
    created = dig(raw, "metadata", "creationTimestamp")
    return next((at for each in (*times, created) if each and (at := _time(each))), _EPOCH)
