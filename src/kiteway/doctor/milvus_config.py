"""
Milvus's own configuration: milvus.yaml, or values of the milvus-helm chart.

The chart has milvus.yaml's overrides as text in ``extraConfigFiles.user.yaml``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kiteway.diagnostics import ObjectRef, Position
from kiteway.resources.compose import Document, Fault
from kiteway.resources.places import Source
from kiteway.resources.yaml import parse

PROXY_PORT = 19530
"""Milvus's gRPC port when proxy.port is not set."""
METRICS_PORT = 9091
"""Where Milvus answers /healthz."""
HELM_USER_YAML = ("extraConfigFiles", "user.yaml")

_HELM_KEYS = frozenset({"extraConfigFiles", "service", "image", "cluster", "standalone"})
_MILVUS_KEYS = frozenset({"common", "proxy", "tls", "etcd", "minio"})


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
    """

    ref: ObjectRef
    source: Source | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    values: Mapping[str, Any] | None = None
    problem: str = ""

    def at(self, *path: str) -> Position | None:
        """Return where a setting was written; inside a Helm string, where the string begins."""
        return self.value_at(*(path if self.values is None else HELM_USER_YAML))

    def value_at(self, *path: str) -> Position | None:
        """Return where a Helm value was written."""
        return self.source.at(*path) if self.source else None

    def setting(self, *path: str) -> Any:
        """Return a setting, None if the file does not set it."""
        return _lookup(self.settings, path)

    def value(self, *path: str) -> Any:
        """Return a Helm value, None if the file does not set it or holds no Helm values."""
        return _lookup(self.values, path)

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
    if _HELM_KEYS & value.keys():
        return helm_values(value, ref, source)
    if _MILVUS_KEYS & value.keys():
        return MilvusConfig(ref, source, value)
    return None


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


def _integer(value: Any) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) <= 9:
        return int(value)
    return None
