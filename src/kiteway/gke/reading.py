"""Reads a cluster by kubectl, helm and gcloud."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import yaml

from kiteway.gke.live import ClusterReading, Object, Release, StaticAddress, dig
from kiteway.gke.names import Names, names, record_name
from kiteway.gke.options import CertificateKind, GkeOptions, Http
from kiteway.gke.record import read_record, recorded_options
from kiteway.gke.run import CommandError, found, output
from kiteway.gke.shell import Shell
from kiteway.probe.dns import probe_dns

_VERSION = re.compile(r"v(\d+)\.(\d+)\.(\d+)")
_ABSENT = re.compile(r"not ?found", re.IGNORECASE)
_DNS_SECONDS = 5.0

_Key = tuple[str, str, str]


class Reader:
    """Reads the same release repeatedly; constant facts are read once."""

    def __init__(self, wanted: GkeOptions, shell: Shell) -> None:
        self._wanted = wanted
        self._shell = shell
        self._helm: tuple[int, int, int] | None = None
        self._values: dict[tuple[str, str], tuple[int, dict[str, Any], dict[str, Any]]] = {}

    async def read(self) -> ClusterReading:
        """
        Read everything that a plan needs; nothing is written.

        Raises:
            CommandError: kubectl or helm is not there or may not read.
        """
        if self._helm is None:
            match = _VERSION.search(await output(self._shell.helm("version", "--short")))
            self._helm = (int(match[1]), int(match[2]), int(match[3])) if match else (0, 0, 0)
        wanted = self._wanted
        release = await self._release(wanted.release, wanted.namespace)
        live = ClusterReading(release=release, helm=self._helm, at=dt.datetime.now(dt.UTC))
        if release is None:
            return live
        called = names(live, release, wanted)
        objects, pods, static, addresses, (kiteway, kiteway_release) = await asyncio.gather(
            get_objects(self._shell, wanted.namespace, _looked_for(wanted, called)),
            self._pods(release, called),
            self._static_address(called.static_address),
            _addresses(wanted.host),
            self._kiteway(called),
        )
        namespace = wanted.namespace
        live = replace(live, service=objects.pop(("Service", namespace, called.service), None))
        again = names(live, release, wanted)
        if again.backend_config != called.backend_config:  # the Service names one already
            more = await get_objects(self._shell, namespace, _looked_for(wanted, again))
            objects.update(more)
            objects.pop(("Service", namespace, called.service), None)
        own = objects.pop(("Service", namespace, called.kiteway), None)
        return replace(
            live,
            front=own if wanted.kiteway else live.service,
            workload=objects.pop(("Deployment", namespace, called.workload), None),
            record=read_record(objects.pop(("Secret", namespace, called.record), None)),
            pods=pods,
            objects=objects,
            static_address=static,
            addresses=addresses,
            kiteway=kiteway,
            kiteway_release=kiteway_release,
        )

    async def _release(self, name: str, namespace: str) -> Release | None:
        try:
            text = await output(self._shell.helm("get", "metadata", name, "-n", namespace, "-o", "json"))
        except CommandError as error:
            if _ABSENT.search(error.output):
                return None
            raise
        metadata = json.loads(text)
        revision = int(metadata["revision"])
        revision_read, own, effective = self._values.get((namespace, name), (0, {}, {}))
        if revision_read != revision:
            get = ("get", "values", name, "-n", namespace, "--revision", str(revision), "-o", "yaml")
            texts = await asyncio.gather(output(self._shell.helm(*get)), output(self._shell.helm(*get, "--all")))
            own, effective = (yaml.safe_load(text) or {} for text in texts)
            self._values[namespace, name] = (revision, own, effective)
        return Release(
            name=name,
            namespace=namespace,
            chart=str(metadata["chart"]),
            version=str(metadata["version"]),
            revision=revision,
            status=str(metadata["status"]),
            apply_method=str(metadata.get("applyMethod", "")),
            values=own,
            effective=effective,
        )

    async def _pods(self, release: Release, called: Names) -> tuple[Object, ...]:
        if not self._wanted.google:
            return ()
        selector = f"app.kubernetes.io/instance={release.name},component={called.container}"
        if self._wanted.kiteway:
            selector = f"app.kubernetes.io/instance={called.kiteway},app.kubernetes.io/name=kiteway"
        text = await output(self._shell.kubectl("get", "pods", "-n", release.namespace, "-l", selector, "-o", "json"))
        items: list[Object] = json.loads(text)["items"]
        return tuple(pod for pod in items if not dig(pod, "metadata", "deletionTimestamp"))

    async def _kiteway(self, called: Names) -> tuple[bool, Release | None]:
        if not self._wanted.kiteway:
            return False, None
        command = self._shell.kubectl("get", "ingressclass", called.kiteway_class, "--ignore-not-found", "-o", "name")
        there = bool((await output(command)).strip())
        if there and not self._wanted.google:
            return True, None  # another user's release may be unreadable for this one
        return there, await self._release(called.kiteway, called.kiteway_namespace)

    async def _static_address(self, name: str) -> StaticAddress:
        if not self._wanted.google or not found("gcloud"):
            return StaticAddress(known=False)
        command = self._shell.gcloud("compute", "addresses", "describe", name, "--global", "--format=value(address)")
        try:
            return StaticAddress(known=True, address=(await output(command)).strip() or None)
        except CommandError as error:
            return StaticAddress(known=bool(_ABSENT.search(error.output)))


async def read_recorded(release: str, namespace: str, shell: Shell) -> GkeOptions | None:
    """
    Read what was last applied to a release; None when nothing is recorded.

    Raises:
        CommandError: kubectl is not there or may not read.
    """
    name = record_name(release)
    items = await get_objects(shell, namespace, [("secret", name)])
    record = read_record(items.get(("Secret", namespace, name)))
    return None if record is None else recorded_options(record)


async def get_objects(shell: Shell, namespace: str, looked_for: Iterable[tuple[str, str]]) -> dict[_Key, Object]:
    """
    Return the existing objects by kind, namespace and name; one command reads all.

    Raises:
        CommandError: kubectl is not there or may not read.
    """
    listed = [f"{kind}/{name}" for kind, name in looked_for]
    text = await output(shell.kubectl("get", *listed, "-n", namespace, "--ignore-not-found", "-o", "json"))
    if not text.strip():
        return {}
    answer = json.loads(text)
    items: list[Object] = answer["items"] if answer["kind"] == "List" else [answer]
    return {(i["kind"], i["metadata"]["namespace"], i["metadata"]["name"]): i for i in items}


def _looked_for(wanted: GkeOptions, called: Names) -> list[tuple[str, str]]:
    """Return the objects to read: of GKE's kinds only the wanted ones, as a cluster may not serve the others."""
    asked = [
        ("service", called.service),
        ("deployment", called.workload),
        ("secret", called.record),
        ("secret", called.certificate),
        ("secret", called.backend_certificate),
        ("ingresses.networking.k8s.io", called.ingress),
    ]
    if wanted.google:
        asked.append(("backendconfigs.cloud.google.com", called.backend_config))
    if wanted.google and wanted.kiteway:
        asked += [("service", called.kiteway), ("deployment", called.kiteway)]
        asked.append(("ingresses.networking.k8s.io", called.route))
    if wanted.http is Http.REDIRECT:
        asked.append(("frontendconfigs.networking.gke.io", called.frontend_config))
    if wanted.certificate is CertificateKind.GOOGLE_MANAGED:
        asked.append(("managedcertificates.networking.gke.io", called.certificate))
    return asked


async def _addresses(host: str) -> tuple[str, ...]:
    result = await probe_dns(host, 443, timeout=_DNS_SECONDS)
    return (*result.ipv4, *result.ipv6)
