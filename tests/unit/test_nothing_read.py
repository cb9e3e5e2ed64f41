"""Files in which Kiteway finds nothing to read are an error that says what was found."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from kiteway.cli import app
from kiteway.diagnostics import Severity
from kiteway.resources.load import load_documents
from kiteway.sources.files import FileSource

SERVICE = "apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {ports: [{port: 19530}]}\n"
GATEWAY = "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: a}\n"
CONFIG_MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"


def _errors(path: Path) -> list[tuple[str, str, str]]:
    found = FileSource((path,)).read().diagnostics
    return [(d.reason, d.message, d.fix) for d in found if d.severity is Severity.ERROR]


def _tree(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        path = folder / name.replace("__", "/").replace("_DOT_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


@pytest.mark.parametrize(
    ("files", "found", "fix"),
    [
        ({}, "no object at all", "Check the path"),
        ({"ingress_DOT_yaml": "# all of it is commented out\n"}, "no object at all", "Check the path"),
        ({"templates__ingress_DOT_yaml": "{{ x }}"}, "only a Helm chart", "helm template"),
        (
            {"Chart_DOT_lock": "", "base__ingress_DOT_yaml": SERVICE},
            "only subfolders with files: base",
            "Give -R to read them too, or name one: -f",
        ),
        (
            {"ingress_DOT_yaml_DOT_txt": SERVICE, "NOTES": ""},
            "only files of other names: NOTES, ingress.yaml.txt",
            ".json",
        ),
        ({"a_DOT_yaml": CONFIG_MAP}, 'only "ConfigMap"', "Give Ingresses and Services"),
    ],
)
def test_a_folder_without_an_object_is_an_error(tmp_path: Path, files: dict[str, str], found: str, fix: str) -> None:
    """What lies there instead is said, and what to do."""
    [(reason, message, what_to_do)] = _errors(_tree(tmp_path, **files))
    assert reason == "NothingRead"
    assert message == f"{tmp_path}: nothing that Kiteway reads was found, {found}; nothing is served."
    assert fix in what_to_do


def test_one_object_among_others_is_enough(tmp_path: Path) -> None:
    """A folder with one object that Kiteway reads has no such error; nor has one in which another error says why."""
    assert _errors(_tree(tmp_path / "a", a_DOT_yaml=CONFIG_MAP, b_DOT_yaml=SERVICE)) == []
    assert [reason for reason, _, _ in _errors(_tree(tmp_path / "b", a_DOT_yaml="a: [b"))] == ["YamlSyntax"]


@pytest.mark.parametrize(
    ("api_version", "kind", "what"),
    [
        ("gateway.networking.k8s.io/v1", "Gateway", "a kind of Gateway API"),
        ("gateway.networking.k8s.io/v1", "GRPCRoute", "a kind of Gateway API"),
        ("networking.gke.io/v1", "HealthCheckPolicy", "a policy for GKE's Gateway"),
        ("traefik.io/v1alpha1", "IngressRoute", "a kind of Traefik"),
        ("milvus.io/v1beta1", "Milvus", "read by the Milvus operator"),
        ("networking.istio.io/v1", "VirtualService", "a kind of Istio"),
        ("k8s.nginx.org/v1", "VirtualServer", "a kind of NGINX Ingress Controller"),
    ],
)
def test_a_kind_that_another_program_serves_is_named_as_that(api_version: str, kind: str, what: str) -> None:
    """Such a kind is a warning with what it is, and what to write in its place."""
    text = f"apiVersion: {api_version}\nkind: {kind}\nmetadata: {{name: a}}\n"
    [diagnostic] = load_documents(text.encode(), "f.yaml").diagnostics
    assert (diagnostic.severity, diagnostic.reason) == (Severity.WARNING, "KindNotServed")
    assert what in diagnostic.message
    assert diagnostic.fix


@pytest.mark.parametrize("command", ["plan", "doctor"])
@pytest.mark.parametrize("text", ["", CONFIG_MAP, GATEWAY])
def test_an_empty_stream_is_exit_status_1(command: str, text: str) -> None:
    """`kubectl get ... | kiteway plan -f -` that gave nothing is no success."""
    result = CliRunner().invoke(app, [command, "-f", "-"], input=text)
    assert result.exit_code == 1
    assert "nothing that Kiteway reads was found" in " ".join(result.output.split())


@pytest.mark.parametrize("command", ["plan", "doctor"])
def test_a_service_alone_is_reported_to_serve_nothing(command: str, tmp_path: Path) -> None:
    """Objects without an Ingress are read, and a warning says that no host comes of them."""
    path = tmp_path / "service.yaml"
    path.write_text(SERVICE)
    result = CliRunner().invoke(app, [command, "-f", str(path)])
    assert result.exit_code == 0
    assert "no Ingress leads to it, so no host is served" in " ".join(result.output.split())
