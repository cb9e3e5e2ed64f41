"""`kiteway doctor` against a real Milvus, alone and behind Kiteway."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kiteway.milvus.embedded import StandaloneMilvus
from tests.support.kiteway import KITEWAY, up

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.e2e,
    pytest.mark.milvus,
    pytest.mark.usefixtures("port_9091"),
    pytest.mark.timeout(240),
]


@pytest.fixture
def folder() -> Iterator[Path]:
    """Give a folder whose path leaves room for unix sockets."""
    made = Path(tempfile.mkdtemp(prefix="kw-"))
    yield made
    shutil.rmtree(made)


def _doctor(*arguments: str | Path) -> tuple[int, dict[str, dict[str, Any]]]:
    """Return the exit status, and the checks by name."""
    done = subprocess.run(
        [KITEWAY, "doctor", *arguments, "--output", "json"], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode in {0, 1}, done.stderr
    (resource,) = json.loads(done.stdout)["resources"]
    return done.returncode, {check["name"]: check for check in resource["checks"]}


async def test_milvus_alone_and_behind_kiteway(folder: Path, free_port: Callable[[], int]) -> None:
    """
    Both answer gRPC and REST. Behind Kiteway TLS is correct and Milvus's management is not reachable; the
    only failure left is that Milvus requires no credentials.
    """
    async with StandaloneMilvus(folder / "milvus", health_port=9091) as milvus:
        plain = f"127.0.0.1:{milvus.endpoint.port}"
        status, checks = _doctor(plain, "--plaintext")
        assert status == 0
        assert {checks[name]["result"] for name in ("GRPC_DIRECT", "HEALTHZ_RACE", "REST_SAME_PORT")} == {"PASSED"}
        assert "v2.3.5" in checks["GRPC_DIRECT"]["message"]

        status, checks = _doctor(plain)
        assert (status, checks["TLS_HANDSHAKE"]["result"]) == (1, "FAILED")

        port = free_port()
        with up(
            ["--to", plain, "--https-port", str(port), "--http-port", "0", "--drain", "1"], folder / "data"
        ) as kite:
            kite.wait_healthy(1)
            ca = folder / "data/state/quickstart/tls.crt"
            status, checks = _doctor(f"localhost:{port}", "--ca", ca)
            wrong = {name: check["message"] for name, check in checks.items() if check["result"] == "FAILED"}
            assert (status, set(wrong)) == (0, {"AUTH_OPEN"}), wrong
            judged = {name for name, check in checks.items() if check["result"] == "PASSED"}
            assert judged >= {"TLS_OLD_VERSIONS", "CERT_CHAIN", "CERT_SAN", "ALPN_H2", "GRPC_DIRECT", "REST_SAME_PORT"}
            assert "MANAGEMENT_THROUGH_BALANCER" in judged

            status, checks = _doctor(f"127.0.0.1:{port}", "--ca", ca, "--server-name", "other.example")
            # The certificate alone is wrong, and said apart from what works.
            assert (status, checks["CERT_HOST"]["result"], checks["GRPC_DIRECT"]["result"]) == (1, "FAILED", "PASSED")
