"""The command: exit status, formats of the report, sources of the token."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
import typer
import yaml
from typer.testing import CliRunner, Result

from kiteway import __version__
from kiteway.extras import install_command
from kiteway.milvus.catalogue import RpcClass
from kiteway.milvus.verify import (
    CallSeen,
    Failure,
    FailureReason,
    OnStep,
    SdkMissingError,
    Step,
    Target,
    VerifyReport,
    Versions,
)
from tests.unit.probe_servers import Authority, tls_server

# The package's attribute of this name is the command itself.
command = importlib.import_module("kiteway.cli.verify")

STEP = Step("connect-orm", ok=True, seconds=0.1, detail="Milvus [v2.3.5]")
VERIFIED = VerifyReport(
    verified=True,
    address="milvus.example:443",
    server_name="milvus.example",
    steps=(STEP,),
    versions=Versions("3.0.2", "v2.6.1"),
    calls=(CallSeen(rpc="Search", rpc_class=RpcClass.READ, made=2, worked=1, failures=("UNAVAILABLE",)),),
    differences=("1 of 2 calls of Search failed: UNAVAILABLE.",),
)
FAILED = VerifyReport(
    verified=False,
    address="milvus.example:443",
    server_name="milvus.example",
    steps=(STEP,),
    versions=Versions("3.0.2", None),
    failure=Failure(FailureReason.TCP, "It [refused].", "Start it."),
    leftover="kiteway_verify_1_2",
)


class _Verification:
    """Stands in for the verification and remembers what it was asked."""

    def __init__(self, report: VerifyReport) -> None:
        self.report = report
        self.target: Target | None = None
        self.error: Exception | None = None

    async def __call__(self, target: Target, *, on_step: OnStep, timeout: float) -> VerifyReport:
        if self.error is not None:
            raise self.error
        self.target = target
        on_step(STEP)
        return self.report


@pytest.fixture
def verification(monkeypatch: pytest.MonkeyPatch) -> _Verification:
    """Return a verification that succeeds."""
    stand_in = _Verification(VERIFIED)
    monkeypatch.setattr(command, "run_verification", stand_in)
    monkeypatch.delenv("KITEWAY_TOKEN", raising=False)
    return stand_in


def call(*arguments: str) -> Result:
    """Run the command as the program would."""
    app = typer.Typer()
    app.command("verify")(command.verify)
    return CliRunner().invoke(app, list(arguments))


def test_verified_is_exit_0_and_json_is_alone_on_stdout(verification: _Verification) -> None:
    """Standard output has only the report; the steps are on standard error."""
    result = call("milvus.example", "--output", "json")
    assert result.exit_code == 0
    report = json.loads(result.stdout)
    assert report["verified"] is True
    assert next(iter(report)) == "schemaVersion"
    assert report["steps"] == [{"name": "connect-orm", "ok": True, "seconds": 0.1, "detail": "Milvus [v2.3.5]"}]
    assert report["versions"] == {"pymilvus": "3.0.2", "milvus": "v2.6.1", "kiteway": __version__}
    assert report["calls"] == [{"rpc": "Search", "class": "READ", "made": 2, "worked": 1, "failures": ["UNAVAILABLE"]}]
    assert report["differences"] == ["1 of 2 calls of Search failed: UNAVAILABLE."]
    assert "connect-orm" in result.stderr


def test_not_verified_is_exit_1(verification: _Verification) -> None:
    """Every format of the report has the failure."""
    verification.report = FAILED
    result = call("milvus.example", "--output", "yaml")
    assert result.exit_code == 1
    assert yaml.safe_load(result.stdout)["failure"] == {
        "reason": "Tcp",
        "sentence": "It [refused].",
        "fix": "Start it.",
    }
    table = call("milvus.example")
    assert table.exit_code == 1
    for words in ("Not verified (Tcp): It [refused].", "Start it.", "kiteway_verify_1_2", "Milvus [v2.3.5]"):
        assert words in table.stdout


@pytest.mark.parametrize(
    ("arguments", "port", "secure"),
    [
        (["milvus.example"], 443, True),
        (["milvus.example:8443"], 8443, True),
        (["https://milvus.example:8443"], 8443, True),
        (["http://milvus.example:19530"], 19530, False),
        (["milvus.example", "--plaintext"], 19530, False),
    ],
)
def test_the_port_follows_the_protocol(
    verification: _Verification, arguments: list[str], port: int, *, secure: bool
) -> None:
    """The port is 443 with TLS, 19530 without, or the given one."""
    assert call(*arguments).exit_code == 0
    assert verification.target == Target(host="milvus.example", port=port, secure=secure)


@pytest.mark.parametrize(
    "arguments",
    [
        ["https://milvus.example/path"],
        ["milvus.example:0"],
        ["milvus.example", "--plaintext", "--server-name", "x"],
        ["milvus.example", "--token", "a", "--token-file", "b"],
        ["milvus.example", "--token-file", "/no/such/file"],
        ["milvus.example", "--timeout", "0"],
        ["milvus.example", "--output", "xml"],
        [],
    ],
)
def test_usage_errors_are_exit_2(verification: _Verification, arguments: list[str]) -> None:
    """Contradictory options are refused before any connection."""
    result = call(*arguments)
    assert result.exit_code == 2
    assert verification.target is None
    assert "Traceback" not in result.output


def test_a_missing_ca_file_is_exit_2(tmp_path: Path) -> None:
    """The file is checked by the real verification before it connects."""
    pytest.importorskip("pymilvus")
    result = call("milvus.example", "--ca", str(tmp_path / "missing.pem"))
    assert result.exit_code == 2


def test_without_pymilvus_it_is_exit_2_with_the_extra(verification: _Verification) -> None:
    """The sentence names what to install."""
    verification.error = SdkMissingError()
    result = call("milvus.example")
    assert result.exit_code == 2
    assert install_command("verify") in result.stderr


def test_the_token_comes_from_file_or_environment(
    verification: _Verification, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither gives a warning; the file has priority over the environment."""
    file = tmp_path / "token"
    file.write_text("root:Milvus\nmore\n")
    monkeypatch.setenv("KITEWAY_TOKEN", "from:environment")
    for arguments, token in (([], "from:environment"), (["--token-file", str(file)], "root:Milvus")):
        result = call("milvus.example", *arguments)
        assert verification.target is not None
        assert verification.target.token == token
        assert "warning" not in result.stderr


def test_a_token_on_the_command_line_is_warned_about(verification: _Verification) -> None:
    """It works, with a warning that other users can see it; the warning does not repeat the token."""
    result = call("milvus.example", "--token", "root:Milvus")
    assert verification.target is not None
    assert verification.target.token == "root:Milvus"
    assert "process list" in result.stderr
    assert "root:Milvus" not in result.output


def test_help_has_examples() -> None:
    """The help has the guide's three forms."""
    result = call("--help")
    assert result.exit_code == 0
    assert result.output.count("kiteway verify") >= 4


def test_only_the_steps_are_on_standard_error(tmp_path: Path) -> None:
    """In a real process neither gRPC's log nor PyMilvus's tracebacks of a refused certificate reach the user."""
    pytest.importorskip("pymilvus")
    kiteway = Path(sys.executable).with_name("kiteway")
    with tls_server(Authority(tmp_path).context()) as port:
        done = subprocess.run(
            [kiteway, "verify", f"127.0.0.1:{port}", "--output", "json"],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 1
    assert json.loads(done.stdout)["failure"]["reason"] == "Certificate"
    assert [line.split()[:2] for line in done.stderr.splitlines()] == [["failed", "connect-orm"]]
