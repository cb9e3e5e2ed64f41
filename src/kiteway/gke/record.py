"""
The state before the first change, recorded in the cluster.

A Secret and not a ConfigMap: the user's part of milvus.yaml may hold passwords. It is written once, before any
other change; a later ``apply`` leaves the recorded state unchanged and updates only the options.
"""

from __future__ import annotations

import base64
import copy
import json
from collections.abc import Mapping
from typing import Any

import msgspec

from kiteway.gke import graceful
from kiteway.gke.live import ClusterReading, Object, Release, annotations_of, dig
from kiteway.gke.names import Names
from kiteway.gke.objects import MANAGED_BY
from kiteway.gke.options import GkeOptions
from kiteway.gke.values import touched
from kiteway.resources.annotations import APP_PROTOCOLS, BACKEND_CONFIG, NEG

SERVICE_ANNOTATIONS = (APP_PROTOCOLS, BACKEND_CONFIG, NEG)
_KEY = "record.json"
_SERVER_FIELDS = ("resourceVersion", "uid", "generation", "creationTimestamp", "managedFields", "selfLink")


def make_record(live: ClusterReading, release: Release, wanted: GkeOptions, names: Names) -> dict[str, Any]:
    """Return the record: of the present state or, if there is one already, that one with the new options."""
    if live.record is not None:
        return {**live.record, "wanted": wanted.plain()}
    return {
        "wanted": wanted.plain(),
        "release": {
            "chart": release.chart,
            "version": release.version,
            "values": dict(release.values),
            "effective": touched(release.effective),
        },
        "names": msgspec.to_builtins(names),
        "annotations": {key: annotations_of(live.service).get(key) for key in SERVICE_ANNOTATIONS},
        "workload": graceful.fields(live.workload, names.container),
        "objects": [without_server_fields(item) for item in live.objects.values() if item["kind"] in _CHANGED],
        "kiteway": live.kiteway or live.kiteway_release is not None,
        "createdStaticAddress": live.static_address.known and live.static_address.address is None,
    }


_CHANGED = frozenset({"BackendConfig", "FrontendConfig", "ManagedCertificate", "Ingress"})


def secret(record: Mapping[str, Any], name: str, namespace: str) -> dict[str, Any]:
    """Return the Secret that holds a record."""
    text = json.dumps(record, sort_keys=True)
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": namespace, "labels": dict(MANAGED_BY)},
        "type": "kiteway.io/gke-record",
        "data": {_KEY: base64.b64encode(text.encode()).decode()},
    }


def read_record(item: Object | None) -> dict[str, Any] | None:
    """Return the record in a Secret; None if there is none."""
    text = dig(item, "data", _KEY)
    if text is None:
        return None
    found: dict[str, Any] = json.loads(base64.b64decode(text))
    return found


def recorded_options(record: Mapping[str, Any]) -> GkeOptions:
    """Return the last options."""
    return msgspec.convert(record["wanted"], GkeOptions)


def recorded_names(record: Mapping[str, Any]) -> Names:
    """Return the names that were used."""
    return msgspec.convert(record["names"], Names)


def recorded_release(record: Mapping[str, Any], live: Release) -> Release:
    """Return the release with its recorded values."""
    before = record["release"]
    return Release(
        live.name, live.namespace, before["chart"], before["version"], 0, "", "", before["values"], before["effective"]
    )


def without_server_fields(item: Object) -> dict[str, Any]:
    """Return an object in a form that can be written again: without status and the API server's own fields."""
    found = copy.deepcopy(dict(item))
    found.pop("status", None)
    for key in _SERVER_FIELDS:
        found["metadata"].pop(key, None)
    return found
