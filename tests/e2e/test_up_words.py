"""`kiteway up` prints its listeners, and the errors of the manifests while it runs."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.kiteway import KITEWAY, up, wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

EXAMPLE = Path(__file__).parents[2] / "examples" / "guide-self-managed"


@pytest.fixture
def said(tmp_path: Path, free_port: Callable[[], int]) -> Iterator[Callable[[], str]]:
    """Run it on the guide's manifests without their Secret; return what it has said so far."""
    manifests, log, http = tmp_path / "manifests", tmp_path / "log", free_port()
    manifests.mkdir()
    for file in EXAMPLE.iterdir():
        (manifests / file.name).write_bytes(file.read_bytes())
    ports = ["--https-port", str(free_port()), "--http-port", str(http)]
    command: list[str | Path] = [KITEWAY, "up", "-f", manifests, "--data-dir", tmp_path / "data", *ports]
    with log.open("wb") as output, subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT) as process:
        try:
            wait_until(lambda: "Ctrl-C ends it" in log.read_text(), "it is ready")
            assert f"ready, but degraded: http://127.0.0.1:{http};" in log.read_text()
            yield log.read_text
        finally:
            process.terminate()


def test_it_says_what_it_serves_and_each_error_as_it_comes_and_goes(said: Callable[[], str], tmp_path: Path) -> None:
    """Without a certificate it does not list HTTPS; each error is printed once, with file and line."""
    manifests = tmp_path / "manifests"
    wait_until(lambda: "ingress.yaml:11:17: error SecretNotFound" in said(), "the missing Secret is said")
    (manifests / "broken.yaml").write_text("a: [\n")
    wait_until(lambda: "broken.yaml:2:1: error YamlSyntax" in said(), "the broken file is said")
    (manifests / "broken.yaml").unlink()
    secret = subprocess.run(
        [KITEWAY, "cert", "create", "--host", "my-release.milvus.io", "--secret", "my-release-milvus-tls"],
        check=True,
        capture_output=True,
    )
    (manifests / "secret.yaml").write_bytes(secret.stdout)
    wait_until(lambda: "the manifests have no errors any more" in said(), "that all is well is said")
    ingress = manifests / "ingress.yaml"
    ingress.write_text(ingress.read_text() + "# a note\n")
    wait_until(lambda: "loaded the changed manifests: no errors" in said(), "the load is said")
    ingress.write_text(ingress.read_text().replace("spec:\n", "spec:\n  ingressClassName: kitewy\n", 1))
    wait_until(
        lambda: "loaded the changed manifests: no errors, 2 new warnings" in said(), "the left out Ingress is said"
    )
    assert "warning IngressClassMisspelt" in said()
    assert "warning NothingServed" in said()
    assert "warning AllowHttpOpen" not in said()
    status = subprocess.run(
        [KITEWAY, "status", "--data-dir", tmp_path / "data"], check=False, capture_output=True, text=True, timeout=60
    )
    assert status.returncode == 3
    assert "degraded" in status.stdout
    assert "no listener is in use" in status.stdout
    assert said().count("stay in force until it can be read") == 1
    assert "the last good form" not in said()
    assert said().count("error SecretNotFound") == 1


def test_top_without_the_filter_names_the_filter(
    tmp_path: Path, free_port: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An instance from the pure wheel counts no calls: the error says why and what to install, not that a socket is missing."""
    monkeypatch.setenv("KITEWAY_FILTER_PATH", str(tmp_path / "none.so"))
    arguments: list[str | Path] = ["-f", EXAMPLE, "--https-port", str(free_port()), "--http-port", "0"]
    with up(arguments, tmp_path / "data"):
        command: list[str | Path] = [KITEWAY, "top", "--once", "--data-dir", tmp_path / "data"]
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    said = " ".join(done.stderr.split())
    assert "`kiteway top` shows what the Envoy filter counts. KITEWAY_FILTER_PATH names" in said
    assert "calls.sock" not in said
