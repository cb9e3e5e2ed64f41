"""
Milvus's own configuration: milvus.yaml, values of the milvus-helm chart, or the operator's Milvus.

The chart has milvus.yaml's overrides as text in ``extraConfigFiles.user.yaml``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kiteway.diagnostics import ObjectRef, Position
from kiteway.resources.compose import Document, Fault
from kiteway.resources.foreign_documents import HELM_KEYS, MILVUS_KEYS, MILVUS_ONLY_KEYS, is_bitnami
from kiteway.resources.lists import Entry, flattened
from kiteway.resources.places import Source
from kiteway.resources.yaml import parse

PROXY_PORT = 19530
"""Milvus's gRPC port when proxy.port is not set."""
METRICS_PORT = 9091
"""Where Milvus answers /healthz."""
HELM_USER_YAML = ("extraConfigFiles", "user.yaml")

_OPERATOR_GROUP = "milvus.io/"
_OPERATOR_CONFIG = ("spec", "config")


@dataclass(frozen=True, slots=True)
class MilvusConfig:
    """
    The configuration of one Milvus: a file, or the values of a live release.

    Attributes:
        ref: its identity in a report.
        source: its file and position; None if it came from a cluster.
        settings: the settings of milvus.yaml that are given.
        values: the Helm values; None if the file is milvus.yaml itself.
        problem: why the settings cannot be read; empty if they can.
        prefix: the path to the settings in the file.
        service_annotations: annotations of the Service by the operator's component, such as ``proxy``.
    """

    ref: ObjectRef
    source: Source | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    values: Mapping[str, Any] | None = None
    problem: str = ""
    prefix: tuple[str, ...] = ()
    service_annotations: tuple[tuple[str, Mapping[str, Any]], ...] = ()

    def at(self, *path: str) -> Position | None:
        """Return where a setting was written; inside a Helm string, where the string begins."""
        return self.value_at(*((*self.prefix, *path) if self.values is None else HELM_USER_YAML))

    def value_at(self, *path: str) -> Position | None:
        """Return where a Helm value was written."""
        return self.source.at(*path) if self.source else None

    def setting(self, *path: str) -> Any:
        """Return a setting, None if the file does not set it."""
        return _lookup(self.settings, path)

    def value(self, *path: str) -> Any:
        """Return a Helm value, None if the file does not set it or holds no Helm values."""
        return _lookup(self.values, path)

    def flag(self, *path: str) -> bool | None:
        """Return a setting that is true or false, None if the file does not set it to either."""
        return _FLAGS.get(str(self.setting(*path)).lower())

    def port(self, *path: str) -> int | None:
        """Return a setting that is a port, None if the file sets none; 0 opens none in Milvus."""
        return _integer(self.setting(*path)) or None

    def seconds(self, *path: str) -> float | None:
        """Return a setting that is a duration, such as ``300s``; None if the file sets none that Milvus could read."""
        return _go_seconds(self.setting(*path))

    @property
    def misplaced(self) -> tuple[str, ...]:
        """Settings of milvus.yaml at the top of Helm values, where the chart reads none of them."""
        if self.values is None:
            return ()
        found = sorted(MILVUS_ONLY_KEYS & self.values.keys())
        proxy = [
            f"proxy.{'.'.join(path)}"
            for path in (("port",), ("http", "port"))
            if self.value("proxy", *path) is not None
        ]
        return (*found, *proxy)

    @property
    def tls_mode(self) -> int | None:
        """``common.security.tlsMode``; None if the file does not set it to a number."""
        return _integer(self.setting("common", "security", "tlsMode"))

    @property
    def proxy_port(self) -> int:
        """The gRPC port."""
        return _integer(self.setting("proxy", "port")) or PROXY_PORT

    @property
    def http_port(self) -> int | None:
        """``proxy.http.port``; None if REST shares the gRPC port."""
        return _integer(self.setting("proxy", "http", "port"))

    @property
    def http_enabled(self) -> bool:
        """``proxy.http.enabled``, true by default."""
        return self.setting("proxy", "http", "enabled") not in (False, "false", "False", "FALSE")


def read_milvus_config(text: bytes, file: str) -> MilvusConfig | None:
    """Return the Milvus configuration in a file; None if it holds something else, or cannot be read."""
    first = next(iter(parse(text)), None)
    if not isinstance(first, Document) or not isinstance(first.value, dict):
        return None
    value = first.value
    if "apiVersion" in value or "kind" in value:
        return None
    source, ref = Source(file, first.place), ObjectRef("MilvusConfiguration", "", file)
    if is_bitnami(value):
        return None
    if HELM_KEYS & value.keys():
        return helm_values(value, ref, source)
    if MILVUS_KEYS & value.keys():
        return MilvusConfig(ref, source, value)
    return None


def read_operator_configs(text: bytes, file: str) -> list[MilvusConfig]:
    """Return the ``spec.config`` of each Milvus of the operator in a file of Kubernetes objects."""
    found = []
    for document in parse(text):
        if not isinstance(document, Document):
            continue
        for entry in flattened(Entry(document.value, Source(file, document.place))):
            value = entry.value
            if isinstance(value, dict) and str(value.get("apiVersion")).startswith(_OPERATOR_GROUP):
                found += _operator_config(value, entry.source)
    return found


def _operator_config(value: Mapping[str, Any], source: Source | None) -> list[MilvusConfig]:
    kind, metadata = value.get("kind"), value.get("metadata")
    if kind not in {"Milvus", "MilvusCluster"} or not isinstance(metadata, dict):
        return []
    ref = ObjectRef(str(kind), str(metadata.get("namespace") or "default"), str(metadata.get("name")))
    settings = _lookup(value, _OPERATOR_CONFIG)
    problem = (
        "" if settings is None or isinstance(settings, dict) else "spec.config must be a mapping, as milvus.yaml is."
    )
    annotations = {
        component: _lookup(value, ("spec", "components", component, "serviceAnnotations"))
        for component in ("proxy", "standalone")
    }
    return [
        MilvusConfig(
            ref,
            source,
            settings if isinstance(settings, dict) else {},
            problem=problem,
            prefix=_OPERATOR_CONFIG,
            service_annotations=tuple((name, each) for name, each in annotations.items() if isinstance(each, dict)),
        )
    ]


def helm_values(values: Mapping[str, Any], ref: ObjectRef, source: Source | None = None) -> MilvusConfig:
    """Return the Milvus configuration in Helm values."""
    settings, problem = _user_yaml(_lookup(values, HELM_USER_YAML))
    return MilvusConfig(ref, source, settings, values, problem)


def _user_yaml(text: Any) -> tuple[Mapping[str, Any], str]:
    if text is None:
        return {}, ""
    if not isinstance(text, str):
        return {}, "extraConfigFiles.user.yaml must be text (written with |), as the chart copies it into a file."
    for found in parse(text.encode("utf-8", "surrogatepass")):
        if isinstance(found, Fault):
            return {}, f"the text in extraConfigFiles.user.yaml cannot be read: {found.message}"
        if isinstance(found.value, dict):
            return found.value, ""
        if found.value is not None:
            return {}, "the text in extraConfigFiles.user.yaml must be a mapping, as milvus.yaml is."
    return {}, ""


def _lookup(value: Any, path: tuple[str, ...]) -> Any:
    for step in path:
        if not isinstance(value, Mapping):
            return None
        value = value.get(step)
    return value


_FLAGS = {"true": True, "false": False}
_GO_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_GO_PART = re.compile(r"(\d{1,12}(?:\.\d{1,9})?)(ns|us|µs|ms|s|m|h)", re.ASCII)


def _go_seconds(value: Any) -> float | None:
    """Read a duration as Go's time.ParseDuration does: numbers with units, one after the other; 0 needs none."""
    text = str(value).removeprefix("+") if isinstance(value, str | int) and not isinstance(value, bool) else ""
    if text == "0":
        return 0.0
    parts = list(_GO_PART.finditer(text))
    if not parts or "".join(part[0] for part in parts) != text:
        return None
    return sum(float(part[1]) * _GO_UNITS[part[2]] for part in parts)


def _integer(value: Any) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) <= 9:
        return int(value)
    return None
