"""Custom headers: what is measured after variables are replaced, and which headers no object may set."""

from __future__ import annotations

from typing import Any

import pytest

from kiteway.model import HeaderValue
from kiteway.translate.shared.limits import LONGEST_HEADER_FORMAT, LONGEST_HEADERS
from tests.golden.inputs import Translated, translate_text
from tests.support.ingresses import ingress, service, text

_VARIABLE, _FORMAT = "{client_ip_address}", "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%"
_FIELDS = ("customRequestHeaders", "customResponseHeaders")


def _translated(field: str, *headers: str) -> Translated:
    config: dict[str, Any] = {
        "apiVersion": "cloud.google.com/v1",
        "kind": "BackendConfig",
        "metadata": {"name": "milvus"},
        "spec": {field: {"headers": list(headers)}},
    }
    named = service(annotations={"cloud.google.com/backend-config": '{"default": "milvus"}'})
    return translate_text(text(ingress("a", ["a.example.com"], []), named, config), "test.yaml")


def _headers(translated: Translated) -> list[HeaderValue]:
    [route] = translated.model.hosts[0].routes
    return [*route.request_headers, *route.response_headers]


def _of_length(length: int) -> str:
    """Return a value that has ``length`` bytes in Envoy's words."""
    count = length // len(_FORMAT)
    return _VARIABLE * count + "v" * (length - count * len(_FORMAT))


@pytest.mark.parametrize("field", _FIELDS)
def test_a_value_is_measured_as_envoy_gets_it(field: str) -> None:
    """With its variables replaced it may be as long as Envoy takes, and not a byte longer."""
    longest, longer = _of_length(LONGEST_HEADER_FORMAT), _of_length(LONGEST_HEADER_FORMAT + 1)
    assert len(longer) < LONGEST_HEADERS
    good = _translated(field, f"x-a:{longest}")
    [header] = _headers(good)
    assert len(header.value) == LONGEST_HEADER_FORMAT
    assert "HeaderTooLong" not in [d.reason for d in good.diagnostics]

    bad = _translated(field, f"x-a:{longer}", "x-b:kept")
    assert [header.name for header in _headers(bad)] == ["x-b"]
    assert [d.path for d in bad.diagnostics if d.reason == "HeaderTooLong"] == [f"spec.{field}.headers[0]"]


def test_a_percent_sign_counts_twice() -> None:
    """It is doubled for Envoy, to which a single one begins a command."""
    signs = LONGEST_HEADERS - len("x-a")
    [header] = _headers(_translated("customRequestHeaders", f"x-a:{'%' * signs}"))
    assert header.value == "%" * 2 * signs


@pytest.mark.parametrize("field", _FIELDS)
@pytest.mark.parametrize(
    "name", ["content-length", "Content-Length", "CONTENT-LENGTH", "x-envoy-max-retries", "Kiteway-Cache"]
)
def test_headers_that_are_kept_for_the_balancer(field: str, name: str) -> None:
    """In any spelling such a header is left out alone, with a diagnostic at its place."""
    translated = _translated(field, "x-a:1", f"{name}:0", "x-b:2")
    assert [header.name for header in _headers(translated)] == ["x-a", "x-b"]
    [told] = [d for d in translated.diagnostics if d.reason == "HeaderForbidden"]
    assert (told.path, name in told.message) == (f"spec.{field}.headers[1]", True)
