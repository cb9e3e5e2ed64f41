"""One reading of a cluster: the edge where kubectl, helm and gcloud are asked."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import yaml

from kiteway.gke.live import Live, Object, Release, StaticAddress, dig
from kiteway.gke.names import Names, clustered, names, record_name
from kiteway.gke.record import read_record, recorded_wanted
from kiteway.gke.run import CommandError, found, output
from kiteway.gke.shell import Shell
from kiteway.gke.step import Command
from kiteway.gke.wanted import Wanted
from kiteway.probe.dns import probe_dns

_VERSION = re.compile(r"v(\d+)\.(\d+)\.(\d+)")
_ABSENT = re.compile(r"not ?found", re.IGNORECASE)
_UNSERVED = re.compile(r"doesn't have a resource type|no matches for kind")
_DNS_SECONDS = 5.0


async def read_live(wanted: Wanted, shell: Shell) -> Live:
    """
    Read everything a plan looks at; nothing is written.

    Raises:
        CommandError: kubectl or helm is not there or may not read.
    """
    helm, release = await asyncio.gather(_helm_version(shell), _release(shell, wanted.release, wanted.namespace))
    live = Live(release=release, helm=helm, at=dt.datetime.now(dt.UTC))
    if release is None:
        return live
    first = names(live, release, wanted)
    live = replace(live, service=await _get(shell, "service", wanted.namespace, first.service))
    called = names(live, release, wanted)  # the Service may name a BackendConfig already
    record, workload, pods, objects, static, addresses = await asyncio.gather(
        _get(shell, "secret", wanted.namespace, record_name(wanted.release)),
        _get(shell, "deployment", wanted.namespace, called.workload),
        _pods(shell, release),
        _objects(shell, wanted.namespace, called),
        _static_address(shell, called.static_address),
        _addresses(wanted.host),
    )
    return replace(
        live,
        workload=workload,
        pods=pods,
        objects=objects,
        record=read_record(record),
        static_address=static,
        addresses=addresses,
    )


async def read_recorded(release: str, namespace: str, shell: Shell) -> tuple[Live, Wanted] | None:
    """
    Read what was applied to a release and what is there now; None when nothing is recorded.

    Raises:
        CommandError: kubectl or helm is not there or may not read.
    """
    record = read_record(await _get(shell, "secret", namespace, record_name(release)))
    if record is None:
        return None
    wanted = recorded_wanted(record)
    return await read_live(wanted, shell), wanted


async def _helm_version(shell: Shell) -> tuple[int, int, int]:
    text = await output(shell.helm("version", "--short"))
    match = _VERSION.search(text)
    return (int(match[1]), int(match[2]), int(match[3])) if match else (0, 0, 0)


async def _release(shell: Shell, name: str, namespace: str) -> Release | None:
    try:
        text = await output(shell.helm("get", "metadata", name, "-n", namespace, "-o", "json"))
    except CommandError as error:
        if _ABSENT.search(error.output):
            return None
        raise
    metadata = json.loads(text)
    values, effective = await asyncio.gather(
        output(shell.helm("get", "values", name, "-n", namespace, "-o", "yaml")),
        output(shell.helm("get", "values", name, "-n", namespace, "-o", "yaml", "--all")),
    )
    return Release(
        name=name,
        namespace=namespace,
        chart=str(metadata["chart"]),
        version=str(metadata["version"]),
        revision=int(metadata["revision"]),
        status=str(metadata["status"]),
        apply_method=str(metadata.get("applyMethod", "")),
        values=yaml.safe_load(values) or {},
        effective=yaml.safe_load(effective) or {},
    )


async def _get(shell: Shell, kind: str, namespace: str, name: str) -> Object | None:
    command = shell.kubectl("get", kind, name, "-n", namespace, "--ignore-not-found", "-o", "json")
    try:
        text = await output(command)
    except CommandError as error:
        if _UNSERVED.search(error.output):
            return None
        raise
    item: dict[str, Any] | None = json.loads(text) if text.strip() else None
    return item


async def _pods(shell: Shell, release: Release) -> tuple[Object, ...]:
    component = "proxy" if clustered(release) else "standalone"
    selector = f"app.kubernetes.io/instance={release.name},component={component}"
    text = await output(shell.kubectl("get", "pods", "-n", release.namespace, "-l", selector, "-o", "json"))
    items: list[Object] = json.loads(text)["items"]
    return tuple(pod for pod in items if not dig(pod, "metadata", "deletionTimestamp"))


async def _objects(shell: Shell, namespace: str, called: Names) -> dict[tuple[str, str, str], Object]:
    looked_for = (
        ("backendconfigs.cloud.google.com", called.backend_config),
        ("frontendconfigs.networking.gke.io", called.frontend_config),
        ("managedcertificates.networking.gke.io", called.certificate),
        ("ingresses.networking.k8s.io", called.ingress),
        ("secret", called.certificate),
        ("secret", called.backend_certificate),
    )
    items = await asyncio.gather(*(_get(shell, kind, namespace, name) for kind, name in looked_for))
    return {(i["kind"], i["metadata"]["namespace"], i["metadata"]["name"]): i for i in _present(items)}


def _present(items: Iterable[Object | None]) -> Iterable[Object]:
    return (item for item in items if item is not None)


async def _static_address(shell: Shell, name: str) -> StaticAddress:
    if not found("gcloud"):
        return StaticAddress(known=False)
    command: Command = shell.gcloud("compute", "addresses", "describe", name, "--global", "--format=value(address)")
    try:
        return StaticAddress(known=True, address=(await output(command)).strip() or None)
    except CommandError as error:
        return StaticAddress(known=bool(_ABSENT.search(error.output)))


async def _addresses(host: str) -> tuple[str, ...]:
    result = await probe_dns(host, 443, timeout=_DNS_SECONDS)
    return (*result.ipv4, *result.ipv6)
