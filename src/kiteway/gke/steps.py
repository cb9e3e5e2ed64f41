"""
The steps that more than one data plane has.

A step computes its state from one reading; nothing here runs a command.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kiteway.gke import objects, record
from kiteway.gke.diff import diff
from kiteway.gke.live import ClusterReading, Object, Release, annotations_of, balancer_address, dig
from kiteway.gke.names import Names
from kiteway.gke.options import CertificateKind, GkeOptions, Http
from kiteway.gke.shell import Shell
from kiteway.gke.step import NO_EFFECT, Effect, Impact, State, Step
from kiteway.gke.values import merged
from kiteway.printable import suggested
from kiteway.resources.annotations import STATUS_PREFIX

BACKENDS = f"{STATUS_PREFIX}backends"


@dataclass(frozen=True, slots=True)
class Setting:
    """The input of every step."""

    live: ClusterReading
    release: Release
    wanted: GkeOptions
    names: Names
    shell: Shell


def remember(s: Setting) -> Step:
    """Record the present state before the first change."""
    after = record.make_record(s.live, s.release, s.wanted, s.names)
    done = s.live.record == after
    item = record.secret(after, s.names.record, s.wanted.namespace)
    return Step(
        id="record",
        title=f"Record the present state in the Secret {s.names.record}",
        state=State.DONE if done else State.TODO,
        sees="it is recorded" if done else "nothing is recorded yet" if s.live.record is None else "options changed",
        effect=NO_EFFECT,
        undo="`kiteway gke rollback` deletes it at its end.",
        diff="" if done else diff(f"Secret {s.names.record}", None, objects.without_data(item)),
        commands=() if done else (s.shell.apply([item]),),
    )


def static_address(s: Setting) -> Step:
    """Reserve the address before the Ingress asks for it: an ephemeral one changes when TLS is added later."""
    found, name = s.live.static_address, s.names.static_address
    command = s.shell.gcloud("compute", "addresses", "create", name, "--global", "--ip-version=IPV4")
    if not found.known:
        state, sees = State.MANUAL, "gcloud is not available here: make sure that the address is reserved"
    elif found.address is None:
        state, sees = State.TODO, "it is not reserved"
    else:
        state, sees = State.DONE, f"it is {found.address}"
    return Step(
        id="static-ip",
        title=f"Reserve the global address {name} at Google",
        state=state,
        sees=sees,
        effect=NO_EFFECT,
        undo=f"{suggested('gcloud', 'compute', 'addresses', 'delete', name, '--global')}; `kiteway gke destroy` does it.",
        commands=() if state is State.DONE else (command,),
    )


def front_certificate(s: Setting) -> Step:
    """Create the certificate for clients, unless the user has one in the Secret already."""
    return _secret(
        s,
        "certificate",
        s.names.certificate,
        f"Make a self-signed certificate for {s.wanted.host}, with the name in its subjectAltName",
    )


def backend_certificate(s: Setting) -> Step:
    """Create the certificate for Google's balancer, which does not verify it."""
    whose = "Kiteway" if s.wanted.kiteway else "Milvus"
    return _secret(
        s, "backend-certificate", s.names.backend_certificate, f"Make a certificate of {whose}'s own for its TLS"
    )


def _secret(s: Setting, step: str, name: str, title: str) -> Step:
    there = s.live.get("Secret", s.wanted.namespace, name)
    shown = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": s.wanted.namespace}}
    shown["data"] = {"tls.crt": f"(self-signed, {s.wanted.host})", "tls.key": "(not shown)"}
    make = s.shell.apply_made(
        lambda: [objects.tls_secret(name, s.wanted.namespace, s.wanted.host)], f"Secret {name}, made now"
    )
    return Step(
        id=step,
        title=title,
        state=State.DONE if there else State.TODO,
        sees=f"the Secret {name} is there" if there else f"the Secret {name} is not there",
        effect=NO_EFFECT,
        undo=f"The Secret {name} is deleted if kiteway gke made it.",
        diff="" if there else diff(f"Secret {name}", None, shown),
        commands=() if there else (make,),
    )


def written(s: Setting, items: Sequence[Mapping[str, Any]], *, step: str, title: str, effect: Effect) -> Step:
    """Return a step that writes objects; it is done when they have every field that it would write."""
    changed = [item for item in items if not has(_live(s.live, item), item)]
    texts = [_object_diff(_live(s.live, item), item) for item in changed]
    kinds = ", ".join(f"{item['kind']} {item['metadata']['name']}" for item in changed)
    return Step(
        id=step,
        title=title,
        state=State.TODO if changed else State.DONE,
        sees=f"to be written: {kinds}" if changed else "it is as it should be",
        effect=effect,
        undo="Objects that existed before are restored; the others are deleted.",
        diff="".join(texts),
        commands=(s.shell.apply(changed),) if changed else (),
    )


def front(s: Setting) -> Step:
    """
    Write the Ingress together with what it refers to.

    A ManagedCertificate becomes Active only when it is attached to a balancer that its domain leads to: waiting for
    it before the Ingress is there never ends.
    """
    items = []
    if s.wanted.certificate is CertificateKind.GOOGLE_MANAGED:
        items.append(objects.managed_certificate(s.wanted, s.names, s.wanted.namespace))
    if s.wanted.http is Http.REDIRECT:
        items.append(objects.frontend_config(s.names, s.wanted.namespace))
    items.append(objects.ingress(s.live, s.wanted, s.names))
    return written(
        s,
        items,
        step="ingress",
        title=f"Make the Layer-7 balancer: Ingress {s.names.ingress}",
        effect=Effect(Impact.NONE, "No client notices: the old address is not touched."),
    )


def ready(s: Setting) -> Step:
    """Wait for the address, the health checks and the certificate."""
    found = s.live.get("Ingress", s.wanted.namespace, s.names.ingress)
    address = balancer_address(found)
    missing = []
    if address is None:
        missing.append("the Ingress has no address yet")
    missing += _unhealthy(found)
    if s.wanted.certificate is CertificateKind.GOOGLE_MANAGED:
        missing += _provisioning(s, address)
    return Step(
        id="ready",
        title="Wait until the balancer serves",
        state=State.WAITING if missing else State.DONE,
        sees="; ".join(missing) if missing else f"{address} serves {s.wanted.host}, all backends are healthy",
        effect=NO_EFFECT,
        undo="Nothing to undo.",
        seconds=3600.0,
    )


def dns(s: Setting) -> Step:
    """Tell the user which DNS record to make; only the owner of the zone can make it."""
    address = balancer_address(s.live.get("Ingress", s.wanted.namespace, s.names.ingress))
    address = address or s.live.static_address.address
    done = address is not None and address in s.live.addresses
    resolves = ", ".join(s.live.addresses) or "nothing"
    return Step(
        id="dns",
        title=f"Let the DNS name {s.wanted.host} lead to {address or 'the new address'}, by one A record and no AAAA",
        state=State.DONE if done else State.MANUAL,
        sees=f"{s.wanted.host} resolves to {resolves}",
        effect=Effect(Impact.RECONNECT, "Clients that use the name go to the new address when they connect next."),
        undo="Change the record back.",
    )


def remove_l4(s: Setting) -> Step:
    """Remove the old Layer-4 balancer: as the last step, and only on request."""
    live = dig(s.live.service, "spec", "type") != "LoadBalancer"
    valued = dig(s.release.effective, "service", "type") != "LoadBalancer"
    done = live and valued
    values = {"service": {"type": "ClusterIP"}}
    return Step(
        id="remove-l4",
        title="Remove the old Layer-4 balancer",
        state=State.DONE if done else State.TODO,
        sees="it is removed" if done else f"its address is {s.live.l4_address}",
        effect=Effect(Impact.INTERRUPTED, f"Clients that still use {s.live.l4_address} are cut off permanently."),
        undo="The Service becomes a LoadBalancer again, but Google gives it another address.",
        diff="" if done else diff("Helm values", dict(s.release.values), merged(s.release.values, values)),
        commands=() if done else (s.shell.upgrade(s.release, s.wanted, values),),
    )


def _unhealthy(item: Object | None) -> list[str]:
    text = annotations_of(item).get(BACKENDS)
    if text is None:
        return ["no health of the backends is reported yet"]
    try:
        found = json.loads(text)
    except ValueError:
        return [f"the health of the backends cannot be read: {text}"]
    return [f"backend {name} is {health}" for name, health in found.items() if health != "HEALTHY"]


def _provisioning(s: Setting, address: str | None) -> list[str]:
    found = s.live.get("ManagedCertificate", s.wanted.namespace, s.names.certificate)
    status = dig(found, "status", "certificateStatus") or "not looked at yet"
    if status == "Active":
        return []
    domains = [f"{d.get('domain')} {d.get('status')}" for d in dig(found, "status", "domainStatus") or []]
    unfinished = [f"the certificate is {status}" + (f" ({', '.join(domains)})" if domains else "")]
    strangers = [a for a in s.live.addresses if a != address]
    if address and (strangers or not s.live.addresses):
        leads = ", ".join(s.live.addresses) or "nowhere"
        unfinished.append(f"{s.wanted.host} leads to {leads} and must lead to {address} alone")
    return unfinished


def _live(live: ClusterReading, item: Mapping[str, Any]) -> Object | None:
    return live.get(item["kind"], item["metadata"]["namespace"], item["metadata"]["name"])


def has(there: Any, ours: Any) -> bool:
    """Return whether every wanted field is set; lists must be equal, as a server-side apply replaces them."""
    if isinstance(ours, Mapping):
        return isinstance(there, Mapping) and all(has(there.get(key), value) for key, value in ours.items())
    return bool(there == ours)


def _object_diff(there: Object | None, ours: Mapping[str, Any]) -> str:
    what = f"{ours['kind']} {ours['metadata']['namespace']}/{ours['metadata']['name']}"
    before = None if there is None else record.without_server_fields(there)
    return diff(what, before, ours if before is None else merged(before, ours))
