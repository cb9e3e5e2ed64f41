"""
Limits apply before Envoy gets a tenant's objects: Envoy never rejects a route table or listener because of
their size.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kiteway.envoy.bootstrap import validate
from tests.golden.inputs import Translated, translate_text
from tests.support.certificates import issue
from tests.support.ingresses import ingress, secret, service, text
from tests.support.static_envoy import static_bootstrap

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

HOST = "attacker.example.com"
VICTIM = "victim.example.com"


def _documents(
    *, headers: list[str] | None = None, field: str = "customRequestHeaders", names: list[str] | None = None
) -> list[dict[str, Any]]:
    """Return a victim's manifests, and an attacker's with ``headers`` or a certificate for ``names``."""
    config = {
        "apiVersion": "cloud.google.com/v1",
        "kind": "BackendConfig",
        "metadata": {"name": "milvus", "namespace": "attacker"},
        "spec": {field: {"headers": headers or []}},
    }
    notes = {"cloud.google.com/backend-config": '{"default": "milvus"}'}
    return [
        service(),
        secret("server", issue(VICTIM)),
        ingress("victim", [VICTIM], ["server"]),
        service("attacker", notes),
        config,
        secret("server", issue(*(names or [HOST]), cn="attacker"), "attacker"),
        ingress("attacker", [HOST, None], ["server"], "attacker"),
    ]


def _translated(documents: list[dict[str, Any]]) -> Translated:
    return translate_text(text(*documents), "test.yaml")


def _reasons(translated: Translated) -> set[str]:
    return {diagnostic.reason for diagnostic in translated.diagnostics}


@pytest.mark.parametrize("field", ["customRequestHeaders", "customResponseHeaders"])
@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        pytest.param([f"x-{number}:1" for number in range(1001)], "HeadersTooMany", id="1001 headers"),
        pytest.param([f"x:{'{client_ip_address}' * 425}"], "HeaderTooLong", id="expanded value"),
        pytest.param([f"x:{'%' * 8192}"], "HeaderTooLong", id="percent signs"),
        pytest.param([f"{'x' * 17_000}:1"], "HeaderTooLong", id="name"),
    ],
)
def test_headers(envoy_binary: Path, headers: list[str], reason: str, field: str) -> None:
    """With any custom headers of one tenant Envoy accepts the shared route table, and the tenant gets a diagnostic."""
    translated = _translated(_documents(headers=headers, field=field))

    assert validate(envoy_binary, static_bootstrap(translated.messages, Path("/nonexistent"))) is None
    assert reason in _reasons(translated)


ODD_NAMES = {
    "a wildcard inside a label": ["a*b.example.com"],
    "a wildcard that is not leftmost": ["a.*.example.com"],
    "two wildcards": ["*.*.example.com"],
    "a wildcard beside its suffix": ["*.example.com", ".example.com"],
    "a wildcard alone": ["*"],
    "an empty name": [""],
    "an empty label": ["a..example.com"],
    "a name that ends with a dot": ["example.com", "example.com."],
    "a name of 300 characters": [".".join(["a" * 49] * 6)],
    "a label of 64 characters": [f"{'a' * 64}.example.com"],
    "upper case beside lower case": ["A.example.com", "a.example.com"],
    "white space": ["a b.example.com", "a\tb.example.com", "a\nb.example.com"],
}


@pytest.mark.parametrize("names", ODD_NAMES.values(), ids=ODD_NAMES.keys())
def test_names_of_certificates(envoy_binary: Path, names: list[str]) -> None:
    """
    With any names in a certificate Envoy accepts the shared listener, and the host is served with the
    certificate.
    """
    translated = _translated(_documents(names=[HOST, *names]))

    assert validate(envoy_binary, static_bootstrap(translated.messages, Path("/nonexistent"))) is None
    assert HOST in {name for entry in translated.model.server_names for name in entry.names}
