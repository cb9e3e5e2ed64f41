"""A control plane that hangs."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from kiteway.demo.guide import HOST, manifests
from kiteway.supervisor import read_state
from tests.support.kiteway import KITEWAY, tls_files, up, wait_listening, wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]


def test_a_stopped_control_plane_is_reported_and_restarted(tmp_path: Path, free_port: Callable[[], int]) -> None:
    """
    The status reports it in time, Envoy goes on, and the supervisor kills and restarts the control plane; the
    log says so.
    """
    port, files = free_port(), tls_files(tmp_path, "front", HOST)
    arguments = [
        "-f",
        str(manifests()),
        "--tls",
        f"my-release-milvus-tls={files.cert},{files.key}",
        "--https-port",
        str(port),
        "--http-port",
        "0",
    ]
    with up([*arguments, "--endpoint", f"my-release-milvus=127.0.0.1:{free_port()}"], tmp_path / "d") as running:
        wait_listening(port)
        supervisor_file = running.instance.supervisor_file

        def silent() -> bool:
            state = read_state(supervisor_file)
            return state is not None and state.children["controlplane"].silent_since is not None

        pid, _ = running.child("controlplane")
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        status = [str(KITEWAY), "status", "--data-dir", str(running.instance.data_dir)]

        def early() -> tuple[int, float]:
            began = time.monotonic()
            done = subprocess.run(status, capture_output=True, check=False, timeout=60)
            return done.returncode, time.monotonic() - began

        # In a thread: after 30 s the control plane is killed, and the second question has to be asked before.
        with ThreadPoolExecutor(1) as pool:
            asked = pool.submit(early)
            wait_until(silent, "the supervisor notices", 30)
            done = subprocess.run(status, capture_output=True, text=True, check=False, timeout=60)
            code, seconds = asked.result()
        assert code == 1
        assert seconds < 20
        assert done.returncode == 1
        assert f"the control plane (process {pid}) hangs: no answer for" in done.stdout
        assert "after 30 s it is killed and started again. Envoy serves on" in done.stdout
        socket.create_connection(("127.0.0.1", port), timeout=10).close()
        wait_until(lambda: running.child("controlplane")[1] == 1 and not silent(), "it is started again", 60)
        running.wait_ready()
        log = running.log.read_text()
        assert f"controlplane: hangs pid {pid} does not answer; after 30 s it is killed and started again" in log
        assert "controlplane: failed killed, as it did not answer for 30 s; next start in 0.1 s" in log
