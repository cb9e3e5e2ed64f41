"""`kiteway status` and the instance that it asks: which one it is, its version, and what is printed."""

from __future__ import annotations

import contextlib
import datetime as dt
import http.server
import json
import os
import pty
import shlex
import signal
import socketserver
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner

from kiteway.cli import app
from kiteway.instance import Instance
from kiteway.ports.running import running_instances
from kiteway.report.status import SCHEMA_VERSION, State
from kiteway.report.supervisor import ChildState, Phase, SupervisorState
from kiteway.status.client import OtherVersionError, read_errors, read_status
from kiteway.supervisor.state import write_state

KITEWAY = Path(sys.executable).with_name("kiteway")
NOW = dt.datetime(2026, 11, 30, tzinfo=dt.UTC)
V1 = Path(__file__).parents[1] / "fixtures/status-1.json"


class _Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True


@contextlib.contextmanager
def answering(instance: Instance, body: bytes) -> Iterator[None]:
    """Own ``instance`` and answer each request to its status socket with ``body``."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with instance.acquire(), _Server(str(instance.status_socket), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield
        finally:
            server.shutdown()


@pytest.fixture
def instance(tmp_path: Path) -> Instance:
    """Return an instance that does not run."""
    return Instance(tmp_path / "data")


def test_a_status_of_version_1_stays_readable(instance: Instance) -> None:
    """What the first instances of this schema answer is read without a loss: no field may go without a new version."""
    with answering(instance, V1.read_bytes()):
        status = read_status(instance)
    assert status.state is State.DEGRADED
    assert status.pools[0].endpoints[0].why == "9091 refused the connection"
    _contains(msgspec.json.decode(msgspec.json.encode(status)), json.loads(V1.read_bytes()), "")


def _contains(found: object, expected: object, where: str) -> None:
    """Fail unless ``found`` has everything in ``expected``; more fields are no loss."""
    if isinstance(expected, dict):
        assert isinstance(found, dict), where
        for key, value in expected.items():
            assert key in found, f"{where}.{key}"
            _contains(found[key], value, f"{where}.{key}")
    elif isinstance(expected, list):
        assert isinstance(found, list), where
        assert len(found) == len(expected), where
        for number, value in enumerate(expected):
            _contains(found[number], value, f"{where}[{number}]")
    else:
        assert found == expected, where


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"schemaVersion": 999, "version": "9.9"}', "Kiteway 9.9, whose status has schema version 999"),
        (b'{"version": "0.0"}', "Kiteway 0.0, whose status has schema version 0"),
    ],
)
def test_another_version_is_named(instance: Instance, body: bytes, words: str) -> None:
    """A newer and an older instance are said to be that, with what to do, and it is no Python error."""
    with answering(instance, body):
        for read in (read_status, read_errors):
            with pytest.raises(OtherVersionError, match=words):
                read(instance)
        result = CliRunner().invoke(app, ["status", "--data-dir", str(instance.data_dir)])
    assert result.exit_code == 1
    assert words in " ".join(result.stderr.split())
    assert f"reads schema version {SCHEMA_VERSION}" in " ".join(result.stderr.split())


def test_no_answer_is_not_ready(instance: Instance) -> None:
    """A control plane that answers with something else is not ready, and the reason is given."""
    with answering(instance, b"<html>"):
        write_state(
            instance.supervisor_file, SupervisorState(1, NOW, Phase.RUNNING, {"controlplane": ChildState(pid=2)})
        )
        status = read_status(instance)
    assert (status.state, status.answered, status.ready) == (State.NOT_READY, False, False)
    assert "the control plane does not answer" in status.reason


@pytest.mark.parametrize(
    ("phase", "child", "reason"),
    [
        (None, None, "Kiteway is starting"),
        (Phase.RUNNING, ChildState(), "Kiteway is starting"),
        (Phase.RUNNING, ChildState(pid=2), "Kiteway is starting"),
        (
            Phase.RUNNING,
            ChildState(pid=2, restarts=1, last_exit="exit status 1"),
            "the control plane is starting again, after exit status 1. Nothing is served: Envoy does not run",
        ),
        (Phase.DRAINING, ChildState(), "Kiteway is stopping; calls in progress end first"),
    ],
)
def test_a_start_and_a_stop_are_called_that(
    instance: Instance, phase: Phase | None, child: ChildState | None, reason: str
) -> None:
    """Without a socket the reason is in words, not an error of the operating system."""
    with instance.acquire():
        if phase is not None and child is not None:
            write_state(instance.supervisor_file, SupervisorState(1, NOW, phase, {"controlplane": child}))
        status = read_status(instance)
    assert (status.state, status.answered, status.reason) == (State.NOT_READY, False, reason)


def test_running_instances_are_found(instance: Instance, tmp_path: Path) -> None:
    """Those of this user that run are in the list, wherever their data directories are; one that has ended is not."""
    other = Instance(tmp_path / "other")
    with other.acquire():
        pass
    with instance.acquire():
        found = running_instances()
    assert instance in found
    assert other not in found
    assert instance not in running_instances()


def _without_data_dir(
    monkeypatch: pytest.MonkeyPatch, home: Path, running: Iterable[Instance], *arguments: str
) -> tuple[int, str]:
    """Run `kiteway status` where only ``running`` run; return the exit status and standard error."""
    monkeypatch.setenv("XDG_STATE_HOME", str(home))
    monkeypatch.setattr("kiteway.cli.running.running_instances", lambda: list(running))
    result = CliRunner().invoke(app, ["status", *arguments])
    return result.exit_code, " ".join(result.stderr.split())


def test_no_other_instance_is_taken_for_the_one_that_is_asked_for(
    instance: Instance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A script that asks whether its instance is up must not hear of another one; each is named with its option."""
    other = Instance(tmp_path / "other")
    named = ["--data-dir", str(tmp_path / "none")]
    for running, arguments in (([instance], []), ([instance], named), ([instance, other], [])):
        code, message = _without_data_dir(monkeypatch, tmp_path, running, *arguments)
        assert code == 1
        assert all(f"--data-dir {each.data_dir}" in message for each in running)


def test_where_it_looked_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without any instance the default directory is named."""
    code, message = _without_data_dir(monkeypatch, tmp_path, [])
    assert code == 1
    assert f"no instance runs on {tmp_path}/kiteway, nor one of this user elsewhere" in message


@pytest.mark.parametrize("output", ["table", "json", "yaml"])
def test_a_reader_may_stop_reading(instance: Instance, output: str) -> None:
    """`kiteway status | head -1` prints the line and no traceback."""
    body = json.loads(V1.read_bytes())
    body["reasons"] *= 10
    body["diagnostics"] *= 1000  # Far more than a pipe holds.
    with answering(instance, json.dumps(body).encode()):
        words = [str(KITEWAY), "status", "--data-dir", str(instance.data_dir), "--output", output]
        command = f"{shlex.join(words)} | head -1"
        done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False, timeout=60)  # noqa: S602
    assert len(done.stdout.splitlines()) == 1
    assert done.stderr == ""


def test_nothing_is_lost_at_80_columns(instance: Instance) -> None:
    """A terminal of 80 columns gets the same text as a pipe, wrapped."""
    with answering(instance, V1.read_bytes()):
        arguments = ["status", "--data-dir", str(instance.data_dir)]
        piped = CliRunner().invoke(app, arguments).stdout
        narrow = _on_terminal([str(KITEWAY), *arguments], columns=80)
    for line in piped.splitlines():
        assert "".join(line.split()) in "".join(narrow.split()), line


def _on_terminal(command: list[str], *, columns: int) -> str:
    main, terminal = pty.openpty()
    environment = {**os.environ, "COLUMNS": str(columns), "TERM": "dumb"}
    process = subprocess.Popen(command, stdout=terminal, stderr=terminal, env=environment)
    os.close(terminal)
    found = b""
    with contextlib.suppress(OSError):  # EIO: the other end is closed
        while part := os.read(main, 65536):
            found += part
    os.close(main)
    process.wait(60)
    return found.decode()


def test_watch_prints_again_until_interrupted(instance: Instance) -> None:
    """`--watch` prints the status again and again; Ctrl-C ends it with the exit status of the last state."""
    with answering(instance, V1.read_bytes()):
        command: list[str | Path] = [KITEWAY, "status", "--data-dir", instance.data_dir, "--watch"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            printed = 0
            while printed < 2:
                printed += process.stdout.readline().startswith("Kiteway ")
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (3, "")
