"""`kiteway status` while the control plane does not answer: which process failed, its last error, and what is served."""

from __future__ import annotations

import contextlib
import datetime as dt
import http.server
import json
import os
import socketserver
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from kiteway.instance import Instance
from kiteway.report.supervisor import ChildState, Phase, SupervisorState
from kiteway.status.client import read_status
from kiteway.supervisor.state import write_state

STARTED = dt.datetime(2026, 11, 30, tzinfo=dt.UTC)
ENDED = ChildState(restarts=4, last_exit="exit status 1")
LISTENERS = "calls::/run/calls.sock\nhttps::127.0.0.1:8443\n"


class _Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True


@contextlib.contextmanager
def _envoy(instance: Instance, state: str, listeners: str) -> Iterator[None]:
    """Answer on the admin socket as Envoy does."""
    answers = {"/server_info": json.dumps({"version": "1", "state": state}), "/listeners": listeners}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = answers[self.path].encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with _Server(str(instance.admin_socket), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield
        finally:
            server.shutdown()


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[Instance]:
    """Return an instance that is owned, and whose control plane has no socket."""
    found = Instance(tmp_path / "data")
    with found.acquire():
        yield found


def _reason(instance: Instance, children: Mapping[str, ChildState]) -> str:
    write_state(instance.supervisor_file, SupervisorState(1, STARTED, Phase.RUNNING, dict(children)))
    return read_status(instance).reason


@pytest.mark.parametrize(
    ("state", "listeners", "served"),
    [
        ("LIVE", LISTENERS, "Envoy serves on with the last configuration"),
        ("PRE_INITIALIZING", "", "Nothing is served yet: Envoy waits for its first configuration"),
        ("INITIALIZING", LISTENERS, "Nothing is served yet: Envoy waits for its first configuration"),
        ("LIVE", "calls::/run/calls.sock\n", "Nothing is served: Envoy's last configuration has no listener"),
    ],
)
def test_envoy_is_asked_what_it_serves(instance: Instance, state: str, listeners: str, served: str) -> None:
    """It serves on only if it ever got a configuration with a listener for clients."""
    with _envoy(instance, state, listeners):
        reason = _reason(instance, {"controlplane": ENDED, "envoy": ChildState(pid=3)})
    assert reason == f"the control plane has ended (exit status 1) and is started again by itself. {served}"


@pytest.mark.parametrize(
    ("envoy", "served"),
    [
        (ChildState(pid=3), "Nothing is served yet: Envoy is starting"),
        (ChildState(last_exit="killed by SIGKILL"), "Nothing is served: Envoy does not run (killed by SIGKILL)"),
    ],
)
def test_an_envoy_that_does_not_run_serves_nothing(instance: Instance, envoy: ChildState, served: str) -> None:
    """Both processes are named when both failed."""
    assert _reason(instance, {"controlplane": ENDED, "envoy": envoy}).endswith(served)


@pytest.mark.parametrize("child", [ENDED, ChildState(pid=2, restarts=4, last_exit="exit status 1")])
def test_the_error_of_the_control_plane_is_shown(instance: Instance, child: ChildState) -> None:
    """The last line of its log is the error of Python; the log is named, whether it waits or starts once more."""
    log = instance.log_file("controlplane")
    log.write_text("Traceback (most recent call last):\nModuleNotFoundError: No module named 'grpc'\n\n")
    reason = _reason(instance, {"controlplane": child, "envoy": ChildState(pid=3)})
    assert f"; {log} ends with: ModuleNotFoundError: No module named 'grpc'. Nothing is served" in reason


def test_an_event_of_the_log_is_no_error(instance: Instance) -> None:
    """A control plane that was killed has not written why; the log is named alone."""
    log = instance.log_file("controlplane")
    log.write_text("2026-11-30 21:43:09 [info     ] configuration                  hosts=1\n")
    reason = _reason(instance, {"controlplane": ENDED, "envoy": ChildState(pid=3)})
    assert f"started again by itself; its log is {log}. Nothing" in reason


def test_the_log_of_an_earlier_run_is_not_shown(instance: Instance) -> None:
    """With --logs a run writes none, and the file says nothing of it."""
    log = instance.log_file("controlplane")
    log.write_text("RuntimeError: of yesterday\n")
    os.utime(log, (STARTED.timestamp() - 1,) * 2)
    assert "log" not in _reason(instance, {"controlplane": ENDED, "envoy": ChildState(pid=3)})


def test_a_log_cannot_control_the_terminal(instance: Instance) -> None:
    """Nor is a long line shown to its end."""
    instance.log_file("controlplane").write_text(f"ValueError: \x1b[2J{'x' * 1000}\n")
    reason = _reason(instance, {"controlplane": ENDED, "envoy": ChildState(pid=3)})
    assert "ValueError: \\x1b[2Jxxx" in reason
    assert len(reason) < 600
