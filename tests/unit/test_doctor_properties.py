"""No file makes doctor raise."""

from __future__ import annotations

import datetime as dt
import tempfile
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import yaml
from hypothesis import example, given

from kiteway.doctor import Report, Scope, examine, read_manifests
from kiteway.doctor.milvus_config import read_milvus_config
from kiteway.doctor.tls_versions import OLD_VERSIONS, client_hello
from tests.unit.doctor_documents import assert_convertible
from tests.unit.doctor_manifests import APP_PROTOCOLS, BACKEND_CONFIG, MANAGED, NEG, Files

_NOW = dt.datetime(2026, 1, 15, tzinfo=dt.UTC)
_SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(["1", "2", "", "{", "common: {security: {tlsMode: 1}}", "- 1", "a: &a [*a]", "\x00", "9" * 5000]),
)
_KEYS = st.sampled_from(
    [
        "common",
        "security",
        "tlsMode",
        "tls",
        "serverPemPath",
        "serverKeyPath",
        "proxy",
        "port",
        "http",
        "enabled",
        "replicas",
        "service",
        "type",
        "annotations",
        "extraConfigFiles",
        "user.yaml",
        "volumeMounts",
        "mountPath",
        "standalone",
        "etcd",
    ]
)
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(_KEYS, inner, max_size=5)),
    max_leaves=20,
)


def _examined(text: bytes) -> Report:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file.yaml"
        path.write_bytes(text)
        return examine(Scope.FILES, read_manifests([path], _NOW))


@given(st.binary(max_size=300))
@example(b"common: {security: {tlsMode: " + b"9" * 5000 + b"}}")
@example(b"proxy: !!binary aGVsbG8=\ntls: 2026-01-01\n")
@example(b"? [a]\n: b\nproxy: {}\n")
def test_no_bytes_make_it_raise(text: bytes) -> None:
    """For any content of a file there is a report that can be printed."""
    assert_convertible(_examined(text))


@given(st.dictionaries(_KEYS, _VALUES, min_size=1, max_size=6))
def test_no_milvus_configuration_makes_it_raise(value: dict[str, Any]) -> None:
    """For a Milvus configuration with values of any type there is a report."""
    assert_convertible(_examined(yaml.safe_dump(value, allow_unicode=True).encode()))


@given(
    st.sampled_from(["ingress", "service", "config", "secret", "path", "rule"]),
    st.lists(
        st.sampled_from(["metadata", "annotations", "spec", "tls", "rules", "ports", "healthCheck", "backend", "data"]),
        max_size=3,
    ),
    st.one_of(_VALUES, st.sampled_from([APP_PROTOCOLS, BACKEND_CONFIG, MANAGED, NEG]).map(lambda key: {key: "{"})),
)
def test_no_spoilt_manifest_makes_it_raise(which: str, path: list[str], value: Any) -> None:
    """With any part of the guide's manifests replaced by any value there is a report."""
    files = Files()
    target = getattr(files, which)
    for step in path[:-1]:
        target = target.get(step) if isinstance(target, dict) else None
    if isinstance(target, dict):
        target[path[-1] if path else "spec"] = value
    objects = [files.ingress, files.service, files.config, files.secret]
    assert_convertible(_examined(yaml.safe_dump_all(objects, allow_unicode=True).encode()))


@given(st.text(max_size=300))
@example("a" * 64)
@example("a.\u3002.b")
@example("." * 70000)
def test_no_name_makes_the_first_message_fail(name: str) -> None:
    """For any server name the message's lengths are those of its parts."""
    for version in OLD_VERSIONS.values():
        message = client_hello(name, version)
        assert int.from_bytes(message[3:5], "big") == len(message) - 5
        assert int.from_bytes(message[6:9], "big") == len(message) - 9


@given(st.binary(max_size=200).map(lambda text: b"extraConfigFiles: {user.yaml: " + text))
def test_no_text_in_the_helm_values_makes_it_raise(text: bytes) -> None:
    """For any text in extraConfigFiles.user.yaml there is a report."""
    config = read_milvus_config(text, "values.yaml")
    assert config is None or isinstance(config.problem, str)
