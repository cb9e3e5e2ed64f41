"""Helm values: the overlay on the release's own values, and its removal."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from typing import Any

from kiteway.gke import user_yaml
from kiteway.gke.live import Release, dig
from kiteway.gke.names import Names, clustered
from kiteway.gke.options import GkeOptions
from kiteway.resources.annotations import APP_PROTOCOLS, BACKEND_CONFIG, NEG

CERTIFICATE_FOLDER = "/etc/milvus/certs"
VOLUME = "kiteway-tls"
_MILVUS_PORT = 19530
_TOUCHED = (
    "extraConfigFiles",
    "service",
    "cluster",
    "ingress",
    "proxy",
    "volumes",
    "volumeMounts",
    "fullnameOverride",
    "nameOverride",
    "customConfigMap",
)

Values = Mapping[str, Any]


def user_text(release: Release) -> str:
    """Return the user's part of milvus.yaml as the chart would write it."""
    return str(dig(release.effective, "extraConfigFiles", "user.yaml") or "")


def milvus_settings(text: str, wanted: GkeOptions) -> dict[tuple[str, ...], Any]:
    """
    Return the settings that Milvus lacks behind Google's balancer, which speaks HTTP/2 over TLS only.

    Milvus does not start (before 2.5: loses REST) when TLS is on and REST shares the gRPC port.

    Raises:
        UserYamlError: the text cannot be read.
    """
    if wanted.kiteway:
        return {}
    found = user_yaml.read(text)
    settings: dict[tuple[str, ...], Any] = {}
    if user_yaml.lookup(found, user_yaml.TLS_MODE) != 1:
        settings[user_yaml.TLS_MODE] = 1
    if not user_yaml.lookup(found, user_yaml.SERVER_PEM) or not user_yaml.lookup(found, user_yaml.SERVER_KEY):
        settings[user_yaml.SERVER_PEM] = f"{CERTIFICATE_FOLDER}/tls.crt"
        settings[user_yaml.SERVER_KEY] = f"{CERTIFICATE_FOLDER}/tls.key"
    grpc_port = user_yaml.lookup(found, user_yaml.PROXY_PORT) or _MILVUS_PORT
    shared = user_yaml.lookup(found, user_yaml.HTTP_PORT) in (None, "", grpc_port)
    if shared and user_yaml.lookup(found, user_yaml.HTTP_ENABLED) is not False:
        settings[user_yaml.HTTP_PORT] = wanted.rest_port
    return settings


def service_annotations(there: Mapping[str, str], port: str, names: Names) -> dict[str, str]:
    """Return the guide's three annotations of a Service, merged with their present content."""
    return {
        APP_PROTOCOLS: _json({**_json_map(there.get(APP_PROTOCOLS)), port: "HTTP2"}),
        BACKEND_CONFIG: _json({**_json_map(there.get(BACKEND_CONFIG)), "default": names.backend_config}),
        NEG: _json({**_json_map(there.get(NEG)), "ingress": True}),
    }


def overlay(release: Release, wanted: GkeOptions, names: Names) -> dict[str, Any]:
    """
    Return the overlay on the release's own values, without those that it has already.

    Raises:
        UserYamlError: the user's part of milvus.yaml cannot be read.
    """
    found: dict[str, Any] = {}
    if not wanted.kiteway:
        there = dig(release.effective, "service", "annotations") or {}
        port = dig(release.effective, "service", "portName") or "milvus"
        found["service"] = {"annotations": service_annotations(there, port, names)}
        text = user_text(release)
        settings = milvus_settings(text, wanted)
        if settings:
            found["extraConfigFiles"] = {"user.yaml": user_yaml.merge(text, settings)}
        if user_yaml.SERVER_PEM in settings or _mounted(release):
            merge_into(found, _mounts(release, names))
    return found


def upgraded(release: Release, wanted: GkeOptions, names: Names) -> dict[str, Any]:
    """Return the release's own values with the overlay on them."""
    return merged(release.values, overlay(release, wanted, names))


def merged(values: Values, over: Values) -> dict[str, Any]:
    """Merge as Helm does: maps by key, anything else replaced."""
    result = copy.deepcopy(dict(values))
    merge_into(result, over)
    return result


def merge_into(values: dict[str, Any], over: Values) -> None:
    """Do `merged` in place."""
    for key, value in over.items():
        if isinstance(value, Mapping) and isinstance(values.get(key), Mapping):
            values[key] = merged(values[key], value)
        else:
            values[key] = copy.deepcopy(value)


def touched(values: Values) -> dict[str, Any]:
    """Return the part of effective values that `overlay` reads."""
    return {key: copy.deepcopy(values[key]) for key in _TOUCHED if key in values}


def reverted(current: Values, original: Release, wanted: GkeOptions, names: Names) -> dict[str, Any]:
    """
    Remove the overlay from the current values; later changes of a user remain.

    Args:
        current: the release's own values now.
        original: the release as it was before the first change.
        wanted: the options of the overlay.
        names: the names that were used.

    Raises:
        UserYamlError: the user's part of milvus.yaml cannot be read any more.
    """
    result = copy.deepcopy(dict(current))
    over = overlay(original, wanted, names)
    if wanted.remove_l4:
        merge_into(over, {"service": {"type": "ClusterIP"}})
    _take_off(result, original.values, over)
    text = dig(result, "extraConfigFiles", "user.yaml")
    ours = dig(over, "extraConfigFiles", "user.yaml")
    if isinstance(text, str) and ours is not None and text != dig(original.values, "extraConfigFiles", "user.yaml"):
        before = user_text(original)
        result["extraConfigFiles"]["user.yaml"] = user_yaml.revert(text, milvus_settings(before, wanted), before)
    return result


def _take_off(values: dict[str, Any], original: Values, over: Values) -> None:
    for key, ours in over.items():
        if key not in values:
            continue
        now = values[key]
        if isinstance(ours, Mapping) and isinstance(now, dict):
            before = original.get(key)
            _take_off(now, before if isinstance(before, Mapping) else {}, ours)
            if not now and key not in original:
                del values[key]
        elif now == ours:
            if key in original:
                values[key] = copy.deepcopy(original[key])
            else:
                del values[key]
        elif isinstance(now, list):
            values[key] = [item for item in now if dig(item, "name") != VOLUME]


def _mounts(release: Release, names: Names) -> dict[str, Any]:
    """Return volumes and mounts of the certificate; Helm replaces lists, so the user's own entries are in them."""
    # The chart gives the proxy lists of its own; standalone takes what all components take.
    at = ("proxy",) if clustered(release) else ()
    volumes = [v for v in dig(release.effective, *at, "volumes") or [] if v.get("name") != VOLUME]
    mounts = [m for m in dig(release.effective, *at, "volumeMounts") or [] if m.get("name") != VOLUME]
    lists = {
        "volumes": [*volumes, {"name": VOLUME, "secret": {"secretName": names.backend_certificate}}],
        "volumeMounts": [*mounts, {"name": VOLUME, "mountPath": CERTIFICATE_FOLDER, "readOnly": True}],
    }
    return {at[0]: lists} if at else lists


def _mounted(release: Release) -> bool:
    at = ("proxy",) if clustered(release) else ()
    return any(dig(volume, "name") == VOLUME for volume in dig(release.effective, *at, "volumes") or [])


def _json_map(text: Any) -> dict[str, Any]:
    try:
        value = json.loads(text) if isinstance(text, str) else {}
    except ValueError:
        return {}  # GKE would refuse it, too: it is replaced
    return value if isinstance(value, dict) else {}


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), sort_keys=True)
