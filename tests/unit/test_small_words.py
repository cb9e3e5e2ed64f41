"""Slips on the command line and options without effect are answered with what to type."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest
from typer.testing import CliRunner

from kiteway.cli import app
from kiteway.resources.load import load_documents
from kiteway.translate import Options, translate
from kiteway.translate.shared.endpoints import unknown_services
from tests.golden.inputs import CASES, manifests

SERVICES = "".join(
    f"---\napiVersion: v1\nkind: Service\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec: {{ports: [{{port: 1}}]}}\n"
    for namespace, name in (("default", "milvus"), ("search", "vec"))
)


@pytest.mark.parametrize("paths", [["examples"], ["a.yaml", "b.yaml"]])
def test_plan_without_f_says_what_to_type(paths: list[str]) -> None:
    """`kiteway plan FOLDER` is a usage error with the command that was meant."""
    result = CliRunner().invoke(app, ["plan", *paths])
    assert result.exit_code == 2
    assert f"kiteway plan {' '.join(f'-f {path}' for path in paths)}" in " ".join(result.output.split())


@pytest.mark.parametrize(
    ("static", "named"),
    [
        ([("default", "milvus")], []),
        ([("default", "milvsu")], ["default/milvsu"]),
        ([("default", "vec"), ("search", "vec")], ["default/vec"]),
        ([], []),
    ],
)
def test_an_endpoint_of_no_service_is_named(static: list[tuple[str, str]], named: list[str]) -> None:
    """--endpoint for a Service that is not there is a warning with the Services that are."""
    found = unknown_services(static, load_documents(SERVICES.encode(), "f.yaml").objects)
    assert [f"{d.object.namespace}/{d.object.name}" for d in found if d.object] == named
    assert all("the manifests have milvus, search/vec" in d.fix for d in found)


@pytest.mark.parametrize(("http_port", "told"), [(True, True), (False, False)])
def test_an_open_port_80_is_one_that_is_there(http_port: bool, told: bool) -> None:  # noqa: FBT001
    """A balancer without an HTTP port is not told that port 80 serves its hosts."""
    text = manifests((CASES / "allow-http-default.in.yaml").read_bytes())
    objects = load_documents(text, "f.yaml").objects
    result = translate(objects, Options(http_port=http_port), dt.datetime(2026, 12, 1, tzinfo=dt.UTC))
    assert ("AllowHttpOpen" in {d.reason for d in result.diagnostics}) is told


def test_a_folder_for_doctor_is_told_the_option(tmp_path: Path) -> None:
    """`kiteway doctor FOLDER` is not taken for the name of a host."""
    result = CliRunner().invoke(app, ["doctor", str(tmp_path)])
    assert result.exit_code == 2
    assert f"kiteway doctor -f {tmp_path}" in result.output.replace("\n", "")
