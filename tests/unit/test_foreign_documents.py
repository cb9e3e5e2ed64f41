"""Documents that lie beside manifests and are none are named as what they are, with what to do."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from kiteway.cli import app
from kiteway.resources.load import load_documents

BITNAMI = """
milvus: {auth: {enabled: true}}
proxy:
  tls: {mode: 1, existingSecret: vec-proxy-tls}
  service: {type: LoadBalancer, ports: {grpc: 19530, metrics: 9091}}
attu: {ingress: {enabled: true, hostname: console.acme-labs.example}}
"""
OPERATOR = """
apiVersion: milvus.io/v1beta1
kind: Milvus
metadata: {name: vec, namespace: search}
spec:
  config:
    common: {security: {tlsMode: 1}}
    tls: {serverPemPath: /certs/tls.crt, serverKeyPath: /certs/tls.key}
  components:
    proxy: {serviceAnnotations: {cloud.google.com/app-protocols: '{"19530":"HTTP2"}'}}
"""
SERVICE = "---\napiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {ports: [{port: 1}]}\n"


@pytest.mark.parametrize(
    ("text", "what", "fix"),
    [
        (BITNAMI, "values of Bitnami's Milvus chart", "helm template"),
        ("proxy: {tls: {existingSecret: a}}", "values of Bitnami's Milvus chart", "helm template"),
        (
            "cluster: {enabled: true}\nimage: {all: {tag: v2.6.0}}",
            "values of the Milvus Helm chart",
            "kiteway doctor -f",
        ),
        ("etcd: {endpoints: [a]}\ncommon: {security: {tlsMode: 1}}", "Milvus's own configuration", "kiteway doctor -f"),
        ("apiVersion: v2\nname: milvus\nversion: 4.2.0", "a Helm chart's Chart.yaml", "helm template"),
        ("services: {standalone: {image: milvusdb/milvus}}", "a Docker Compose file", "kiteway up --to"),
        ("resources: [ingress.yaml]", "a kustomization.yaml", "kubectl kustomize"),
    ],
)
def test_a_document_that_is_no_object_is_named(text: str, what: str, fix: str) -> None:
    """One error says what it looks like, in place of a demand for apiVersion and kind."""
    [diagnostic] = load_documents(text.encode(), "f.yaml").diagnostics
    assert diagnostic.reason == "NotAnObject"
    assert f"it looks like {what}" in diagnostic.message
    assert fix in diagnostic.fix


@pytest.mark.parametrize("text", ["metadata: {name: a}\nspec: {rules: []}", "kind: Ingress\nspec: {}", "a: 1"])
def test_an_object_with_a_part_missing_is_still_one(text: str) -> None:
    """A manifest without apiVersion or kind is told to add them."""
    reasons = {d.reason for d in load_documents(text.encode(), "f.yaml").diagnostics}
    assert reasons == {"FieldValueRequired"}


def _doctor(path: Path) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["doctor", "-f", str(path)])
    return result.exit_code, " ".join(result.output.split())


def test_values_of_another_chart_do_not_pass(tmp_path: Path) -> None:
    """No rule says that Milvus runs without TLS because it did not find the chart's own key."""
    path = tmp_path / "values.yaml"
    path.write_text(BITNAMI)
    code, output = _doctor(path)
    assert code == 1
    assert "Bitnami" in output
    assert "passed MILVUS" not in output


@pytest.mark.parametrize("other", ["", SERVICE])
def test_the_operators_milvus_is_judged(tmp_path: Path, other: str) -> None:
    """spec.config is read as milvus.yaml is, with positions, wherever in a file the object stands."""
    path = tmp_path / "milvus.yaml"
    path.write_text(f"{other}---{OPERATOR}")
    code, output = _doctor(path)
    assert code == 1
    assert f"FAILED MILVUS_TLS_SHARED_PORT {path}:{7 + other.count(chr(10))}:" in output
    assert "OPERATOR_SERVICE_ANNOTATIONS" in output
    assert "nothing that Kiteway reads" not in output


def test_settings_of_milvus_yaml_at_the_top_of_values_have_no_effect(tmp_path: Path) -> None:
    """They are named with where they belong; the ones that the chart does read are not."""
    path = tmp_path / "values.yaml"
    path.write_text(
        "cluster: {enabled: true}\ncommon: {security: {tlsMode: 1}}\nlog: {level: info}\nproxy: {replicas: 2}\n"
    )
    code, output = _doctor(path)
    assert code == 1
    assert f"FAILED HELM_MISPLACED {path}:2:9: common at the top of the values has no effect" in output
    assert output.count("FAILED") == 1
