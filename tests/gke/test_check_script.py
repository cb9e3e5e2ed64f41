"""``tools/gke-check.sh``, which is for a real project: here a stand-in for gcloud gives Google's answers."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.gke.gates import gates
from tests.gke.site import HOST, Site

pytestmark = [pytest.mark.kubernetes, pytest.mark.milvus, pytest.mark.timeout(600)]

SCRIPT = Path(__file__).resolve().parents[2] / "tools" / "gke-check.sh"
GCLOUD = """\
#!/bin/sh
case "$*" in
  *"addresses describe"*) echo 127.0.0.1 ;;
  *"backend-services describe"*protocol*) echo HTTP2 ;;
  *"backend-services describe"*drainingTimeoutSec*) echo 60 ;;
  *"backend-services describe"*timeoutSec*) echo @TIMEOUT@ ;;
  *"backend-services describe"*healthChecks*) echo k8s1-probe ;;
  *"health-checks describe k8s1-probe"*"(type)"*) echo HTTP ;;
  *"health-checks describe k8s1-probe"*port*) echo 9091 ;;
  *"health-checks describe k8s1-probe"*requestPath*) echo /healthz ;;
  *"network-endpoint-groups list "*) echo europe-west4-a; echo europe-west4-b ;;
  *"list-network-endpoints"*) echo 10.244.7.1 ;;
  *"firewall-rules list"*) echo "k8s-fw-l7 tcp:19530,tcp:9091" ;;
  *) echo "unexpected: $*" >&2; exit 1 ;;
esac
"""
GETENT = '#!/bin/sh\necho "127.0.0.1 STREAM"\n'


def _check(site: Site, folder: Path, timeout: int) -> tuple[int, list[str]]:
    """Run the script where the backend service has this timeout; return its exit status and its lines."""
    for name, text in (("gcloud", GCLOUD.replace("@TIMEOUT@", str(timeout))), ("getent", GETENT)):
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    environment = {**site.environment, "PATH": f"{folder}:{site.environment['PATH']}"}
    done = subprocess.run([SCRIPT, HOST], check=False, capture_output=True, text=True, env=environment, timeout=120)
    return done.returncode, done.stdout.splitlines()


def test_it_finds_what_is_right_and_what_is_not(start: Site, tmp_path: Path) -> None:
    """After ``apply`` every check passes; a setting that Google has not taken over is reported with both values."""
    with gates(start):
        start.apply()
        code, lines = _check(start, tmp_path, 3600)
        assert [line for line in lines if not line.startswith(("ok ", "waiting "))] == []
        assert code == 0
        assert len(lines) >= 18
        code, lines = _check(start, tmp_path, 30)
        (wrong,) = [line for line in lines if line.startswith("wrong")]
        assert wrong.endswith(": timeout: 30, not 3600")
        assert code == 1
