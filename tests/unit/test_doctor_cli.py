"""The command: exit status, formats of the report, usage errors."""

from __future__ import annotations

import datetime as dt
import importlib
import io
import json
import re
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner, Result

from kiteway.cli import app
from kiteway.doctor import RULES, MachineFacts
from kiteway.sources.files import FileSource
from tests.unit.doctor_manifests import Files, key_pair
from tests.unit.probe_servers import GET_VERSION, VERSION_ANSWER, grpc_server

# The package's attribute of this name is the command itself.
command = importlib.import_module("kiteway.cli.doctor")


def _doctor(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["doctor", *map(str, arguments)])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return manifests with nothing wrong but the guide's certificate, which is a warning."""
    files = Files()
    files.serve(*key_pair(not_before=dt.datetime.now(dt.UTC)))
    files.read(tmp_path)
    return tmp_path


def test_warnings_are_allowed(folder: Path) -> None:
    """Exit status 0 with warnings; the table has plan's code, the place and what to do, and only counts what passed."""
    result = _doctor("-f", folder)
    assert result.exit_code == 0, result.output
    (reason,) = (line.split()[1] for line in result.output.splitlines() if line.startswith("  warning"))
    planned = CliRunner().invoke(app, ["plan", "-f", str(folder)])
    assert f"warning {reason}: " in planned.output + planned.stderr
    assert "  passed " not in result.output
    assert " passed (listed with --all)" in result.output
    assert "manifests.yaml:" in result.output
    assert "-> Create one with a subjectAltName" in result.output
    assert "0 failed, 1 warning, " in result.output


def test_a_folder_without_a_manifest_fails(tmp_path: Path) -> None:
    """Nothing was checked; subfolders are read with -R, and without it they are named."""
    (tmp_path / "empty").mkdir()
    result = _doctor("-f", tmp_path / "empty")
    assert result.exit_code == 1
    assert "NothingRead" in result.output
    (tmp_path / "base").mkdir()
    (tmp_path / "base/broken.yaml").write_text("a: [")
    (tmp_path / "values.yaml").write_text("service: {type: LoadBalancer}\nproxy: {}\n")
    result = _doctor("-f", tmp_path)
    assert result.exit_code == 0, result.output
    assert "note    SubfoldersNotRead" in result.output
    assert "YamlSyntax" in _doctor("-R", "-f", tmp_path).output


def test_checks_that_passed_are_listed_before_the_others(folder: Path) -> None:
    """With --all; the warnings of an object are at its end."""
    objects = re.split(r"^(?=\w)", _doctor("-f", folder, "--all").output, flags=re.MULTILINE)
    words = [re.findall(r"^  (\w+)", each, flags=re.MULTILINE) for each in objects]
    assert sum(each.count("passed") for each in words) > 20
    (warned,) = (each for each in words if "warning" in each)
    assert warned[-1] == "warning"
    assert "passed" in warned


def test_no_fix_is_no_empty_line(folder: Path) -> None:
    """A type that GKE has no health check of has advice, and a message that says all has no arrow."""
    text = (folder / "manifests.yaml").read_text()
    for kind in ("TCP", "GRPC"):
        (folder / "manifests.yaml").write_text(text.replace("type: HTTP\n", f"type: {kind}\n"))
        result = _doctor("-f", folder)
        assert "-> Milvus answers health checks over HTTP: set type: HTTP, port: 9091" in result.output
        assert all(line.split("->")[1].strip() for line in result.output.splitlines() if "->" in line)


def test_a_failure_is_exit_status_1_and_json_has_the_known_shape(folder: Path) -> None:
    """The report has the format of check-gke-ingress, and also severity, fix, docs and position."""
    (folder / "more.yaml").write_text(
        "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: second}\n"
        "spec: {defaultBackend: {service: {name: none, port: {number: 1}}}}\n"
    )
    result = _doctor("-f", folder, "--output", "json")
    assert result.exit_code == 1
    resources = json.loads(result.stdout)["resources"]
    assert [resource["kind"] for resource in resources] == sorted(resource["kind"] for resource in resources)
    second = next(resource for resource in resources if resource["name"] == "second")
    assert set(second) == {"kind", "namespace", "name", "checks"}
    check = next(check for check in second["checks"] if check["name"] == "ServiceExistenceCheck")
    assert check == {
        "name": "ServiceExistenceCheck",
        "reason": "ServiceNotFound",
        "message": check["message"],
        "result": "FAILED",
        "severity": "error",
        "fix": check["fix"],
        "docs": "docs/reference/doctor.md#serviceexistencecheck",
        "position": {"file": str(folder / "more.yaml"), "line": 4, "column": 41},
    }
    assert "the Service default/none does not exist" in check["message"]


def test_no_private_key_in_any_form(folder: Path) -> None:
    """No format of the report has any part of a Secret's key."""
    key = yaml.safe_load_all((folder / "manifests.yaml").read_text())
    secret = next(one for one in key if one["kind"] == "Secret")["data"]["tls.key"]
    for output in ("table", "json", "yaml"):
        text = _doctor("-f", folder, "--output", output).output
        assert secret not in text
        assert "PRIVATE KEY" not in text


@pytest.mark.parametrize("name", ["doctor", "plan"])
def test_manifests_are_piped_in(folder: Path, name: str) -> None:
    """-f - reads standard input, once, so that kubectl get -o yaml can be piped in."""
    text = (folder / "manifests.yaml").read_text()
    result = CliRunner().invoke(app, [name, "-f", "-"], input=text)
    assert result.exit_code == 0, result.output
    assert "-:" in result.output
    assert "only as its common name" in result.output
    source = FileSource((Path("-"),))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
        assert source.read().objects == source.read().objects != ()


def test_an_address(tmp_path: Path) -> None:
    """A live address is checked; the token comes from a file and is not printed."""
    token = tmp_path / "token"
    token.write_text("root:Secret\n")
    with grpc_server({GET_VERSION: VERSION_ANSWER}) as port:
        arguments: list[str | Path] = [
            f"127.0.0.1:{port}",
            "--plaintext",
            "--token-file",
            token,
            "--timeout",
            "2",
            "-o",
            "yaml",
        ]
        result = _doctor(*arguments)
    assert result.exit_code == 1, result.output
    (resource,) = yaml.safe_load(result.stdout)["resources"]
    assert (resource["kind"], resource["name"]) == ("Address", f"127.0.0.1:{port}")
    assert "Secret" not in result.output
    connect = next(check for check in resource["checks"] if check["name"] == "GRPC_DIRECT")
    assert "UNIMPLEMENTED" in connect["message"]


def test_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without arguments this machine is checked, and a missing Envoy is a failure."""
    monkeypatch.setattr(command, "look_at_machine", lambda _envoy, _instance: MachineFacts(envoy_problem="No Envoy."))
    result = _doctor()
    assert result.exit_code == 1
    assert "FAILED  ENVOY_FOUND No Envoy." in result.output


def test_the_rules_are_listed() -> None:
    """--list has every rule, as a table and as JSON, and checks nothing."""
    listed = json.loads(_doctor("--list", "--output", "json").stdout)["rules"]
    assert [rule["id"] for rule in listed] == [rule.id for rule in RULES]
    assert all(rule["why"] and rule["title"] and rule["docs"] for rule in listed)
    table = _doctor("--list")
    assert table.exit_code == 0
    assert len(table.stdout.splitlines()) == len(RULES)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["host", "-f", "x.yaml"], "give only one of"),
        (["host", "--cluster"], "give only one of"),
        (["--cluster", "--kubeconfig", "/nowhere"], "no usable kubeconfig"),
        (["https://host", "--plaintext"], "give one of the two"),
        (["tests"], "kiteway doctor -f tests"),
        (["ftp://host"], "without a scheme"),
        (["host:0"], "is not a port"),
        (["host", "--ca", "/nowhere.pem"], "cannot be read"),
        (["host", "--token", "a:b", "--token-file", "x"], "not by both"),
        (["--output", "xml"], "xml"),
    ],
)
def test_usage(arguments: list[str], words: str) -> None:
    """A usage error is exit status 2 and a sentence."""
    result = _doctor(*arguments)
    assert result.exit_code == 2
    assert words in " ".join(result.output.replace("│", " ").split())
