"""Ctrl-C before `kiteway demo` or `kiteway up` serves: a plain line and the exit status of a shell, no error."""

from __future__ import annotations

import signal
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from kiteway.demo.guide import manifests
from tests.support.failing import environment_of_failing_controlplane
from tests.support.kiteway import KITEWAY, wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]


def _stopped(command: list[str], folder: Path, when: str, number: signal.Signals) -> tuple[int, str]:
    """Send ``number`` when ``command`` has said ``when``; return its exit status and what it has said."""
    log = folder / "log"
    environment = environment_of_failing_controlplane(folder)
    with log.open("wb") as output, subprocess.Popen(command, stdout=output, stderr=output, env=environment) as process:
        try:
            wait_until(lambda: when in log.read_text() or process.poll() is not None, f"it says {when}", 90)
            process.send_signal(number)
            process.wait(60)
        finally:
            process.kill()
    return process.returncode, log.read_text()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
def test_up_that_is_not_ready_yet(
    tmp_path: Path, free_port: Callable[[], int], number: signal.Signals, code: int
) -> None:
    """Ctrl-C says "stopped"; SIGTERM is how a service manager stops it, ready or not."""
    ports = ["--https-port", str(free_port()), "--http-port", str(free_port())]
    command = [str(KITEWAY), "up", "-f", str(manifests()), "--data-dir", str(tmp_path / "d"), *ports]
    found, said = _stopped(command, tmp_path, "controlplane: failed", number)
    assert found == code
    assert ("stopped" in said.splitlines()) is (number == signal.SIGINT)
    assert "error:" not in said
    assert "Traceback" not in said


@pytest.mark.milvus
@pytest.mark.parametrize(
    ("when", "number", "code"),
    [
        ("• Tweak Milvus configurations", signal.SIGINT, 130),
        ("• Create an Ingress", signal.SIGINT, 130),
        ("• Create an Ingress", signal.SIGTERM, 143),
    ],
)
def test_a_demo_that_has_not_verified_yet(when: str, number: signal.Signals, code: int, tmp_path: Path) -> None:
    """While Milvus starts, and while the balancer does."""
    with tempfile.TemporaryDirectory(prefix="kw-") as folder:
        command = [str(KITEWAY), "demo", "--data-dir", str(Path(folder) / "d")]
        found, said = _stopped(command, tmp_path, when, number)
    assert found == code
    assert "stopped" in said.splitlines()
    assert "error:" not in said
    assert "Traceback" not in said
