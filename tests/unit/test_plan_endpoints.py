"""`kiteway plan` tells what `kiteway status` would tell of the endpoints in the manifests."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from typer.testing import CliRunner

from kiteway.cli import app

GUIDE = Path(__file__).parents[2] / "examples/guide-self-managed"
SLICE = """
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: my-release-milvus-{number}
  namespace: default
  labels: {{kubernetes.io/service-name: my-release-milvus}}
addressType: IPv4
ports: [{{name: milvus, port: 19530}}]
endpoints:
{endpoints}
---
"""


def _slices(number: int) -> str:
    """Return EndpointSlices with so many endpoints in all, at most 100 each."""
    found = []
    for first in range(0, number, 100):
        lines = (f"- addresses: [10.0.{at // 200}.{1 + at % 200}]" for at in range(first, min(first + 100, number)))
        found.append(SLICE.format(number=first, endpoints="\n".join(lines)))
    return "".join(found)


def _plan(folder: Path, *options: str) -> str:
    return CliRunner().invoke(app, ["plan", "-f", str(folder), *options]).stdout


def _messages(printed: str) -> list[str]:
    return [each["message"] for each in json.loads(printed)["diagnostics"] if each["reason"] == "NamespaceLimit"]


def test_more_endpoints_than_a_namespace_may_have_are_an_error(tmp_path: Path) -> None:
    """The limit is that of the running instance, by default or by option; at the limit there is no error."""
    folder = shutil.copytree(GUIDE, tmp_path / "manifests")
    slices, port = folder / "slices.yaml", 19530
    slices.write_text(_slices(500))
    assert _messages(_plan(folder, "-o", "json")) == []
    slices.write_text(_slices(501))
    [message] = _messages(_plan(folder, "-o", "json"))
    assert message.startswith(
        f"the port {port} has 501 endpoints, and with them the namespace default has more than 500"
    )
    assert message.endswith("500 of them are used.")
    [message] = _messages(_plan(folder, "-o", "json", "--namespace-limit", "endpoints=3"))
    assert message.endswith("3 of them are used.")


def test_envoy_gets_only_the_endpoints_that_are_used(tmp_path: Path) -> None:
    """What is shown for Envoy is what Envoy would have."""
    folder = shutil.copytree(GUIDE, tmp_path / "manifests")
    (folder / "slices.yaml").write_text(_slices(5))
    printed = _plan(folder, "-o", "envoy", "--namespace-limit", "endpoints=3")
    assert [number for number in range(1, 6) if f'"10.0.0.{number}"' in printed] == [1, 2, 3]
