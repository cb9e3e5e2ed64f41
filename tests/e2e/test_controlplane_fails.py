"""A control plane that ends at once, each time it is started."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from kiteway.demo.guide import manifests
from kiteway.instance import Instance
from kiteway.status.client import read_status
from tests.support.failing import environment_of_failing_controlplane
from tests.support.kiteway import KITEWAY, wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]


def test_the_status_says_which_process_failed_and_that_nothing_is_served(
    tmp_path: Path, free_port: Callable[[], int]
) -> None:
    """It names the control plane, its error and its log; Envoy never got a configuration, and does not serve on."""
    instance = Instance(tmp_path / "d")
    ports = ["--https-port", str(free_port()), "--http-port", str(free_port())]
    # It would wait for a minute.
    short = "from kiteway.cli import main, up; up._READY_SECONDS = 8; main()"
    command = [sys.executable, "-c", short, "up", "-f", str(manifests()), "--data-dir", str(instance.data_dir), *ports]

    def told() -> bool:
        return "Envoy waits for its first configuration" in read_status(instance).reason

    environment = environment_of_failing_controlplane(tmp_path)
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        try:
            wait_until(told, "the control plane has failed and Envoy waits for it", 60)
            status = [str(KITEWAY), "status", "--data-dir", str(instance.data_dir)]
            done = subprocess.run(status, capture_output=True, text=True, check=False, timeout=60)
            _, said = process.communicate(timeout=60)
        finally:
            process.terminate()
    assert done.returncode == 1
    assert "the control plane " in done.stdout
    assert f"{instance.log_file('controlplane')} ends with: RuntimeError: broken on purpose." in done.stdout
    assert "Nothing is served yet: Envoy waits for its first configuration" in done.stdout
    assert "Envoy serves on" not in done.stdout
    assert process.returncode == 1
    [error] = [line for line in said.splitlines() if "Not ready after 8 s" in line]
    assert f"{instance.log_file('controlplane')} ends with: RuntimeError: broken on purpose." in error, error
