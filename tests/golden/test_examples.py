"""The examples as a user runs them: with the filter, and with the guide's certificate."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from kiteway.certificates.create import create_self_signed
from kiteway.demo.guide import HOST, secret
from kiteway.diagnostics import Severity
from kiteway.envoy.bootstrap import validate
from kiteway.envoy.settings import EnvoySettings
from kiteway.envoy.xds.build import build, build_endpoints
from kiteway.filter import filter_path
from kiteway.resources import load_documents
from kiteway.translate import Endpoints, Options, translate
from tests.support.static_envoy import static_bootstrap

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
FOLDERS = sorted(path.parent.name for path in EXAMPLES.glob("*/ingress.yaml"))


@pytest.mark.parametrize("name", FOLDERS)
def test_envoy_accepts_the_example(name: str, envoy_binary: Path, tmp_path: Path) -> None:
    """An example has no error, routes the guide's host, and its configuration is accepted by Envoy."""
    pair = create_self_signed([HOST])
    loaded = [load_documents(f.read_bytes(), f.name) for f in sorted((EXAMPLES / name).glob("*.yaml"))]
    loaded.append(load_documents(secret(pair), "secret.yaml"))
    objects = [o for found in loaded for o in found.objects]

    result = translate(objects, Options(), dt.datetime.now(dt.UTC))

    assert not [
        d for d in (*result.diagnostics, *(d for f in loaded for d in f.diagnostics)) if d.severity is Severity.ERROR
    ]
    assert HOST in {host.domain for host in result.model.hosts}
    table = Endpoints(objects).table(result.model.pools)
    messages = [
        *build(result.model, EnvoySettings(filter_path=filter_path())),
        *build_endpoints(result.model.pools, table),
    ]
    (tmp_path / "run").mkdir()
    assert validate(envoy_binary, static_bootstrap(messages, tmp_path)) is None
