"""Kiteway installed from its wheels, as a user without a clone has it."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from hatch_build import platform_tag
from kiteway.milvus.embedded import StandaloneMilvus
from tests.support.kiteway import wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

ROOT = Path(__file__).resolve().parents[2]
LIBRARY = "kiteway/_filter/libkiteway_filter.so"


@dataclass(frozen=True)
class Installed:
    """A fresh environment with the wheel, and an empty folder to work in."""

    wheel: Path
    environment: Path
    folder: Path

    def variables(self) -> dict[str, str]:
        """Return the variables of a user whose home is the empty folder, and who knows nothing of the clone."""
        path = f"{self.environment}/bin:/usr/bin:/bin"
        return {"PATH": path, "HOME": str(self.folder), "PYTHONDONTWRITEBYTECODE": "1", "COLUMNS": "200"}

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command in the folder."""
        program = [str(self.environment / "bin" / command[0]), *command[1:]]
        return subprocess.run(
            program, check=False, cwd=self.folder, env=self.variables(), capture_output=True, text=True, timeout=120
        )


def _build(target: Path, wish: str) -> Path:
    before = set(target.glob("*.whl"))
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", target],
        check=False,
        cwd=ROOT,
        env={**os.environ, "KITEWAY_FILTER": wish, "SOURCE_DATE_EPOCH": "1700000000"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    [made] = set(target.glob("*.whl")) - before
    return made


@pytest.fixture(scope="module")
def installed() -> Iterator[Installed]:
    """Install the wheel with the filter, with what `kiteway verify` needs."""
    uv = next(iter(sorted((ROOT / ".tools").glob("uv-*/bin/uv"), reverse=True)), None) or shutil.which("uv")
    if uv is None or shutil.which("cargo") is None:
        pytest.skip("the wheel with the filter needs uv and cargo")
    base = Path(tempfile.mkdtemp(prefix="kw-"))
    environment, folder = base / "venv", base / "empty"
    folder.mkdir()
    wheel = _build(base, "require")
    # From the lock and uv's cache, because a test has no connection.
    variables = {
        **os.environ,
        "UV_OFFLINE": "1",
        "UV_PROJECT_ENVIRONMENT": str(environment),
        "UV_LINK_MODE": "hardlink",
    }
    sync = [uv, "sync", "--frozen", "--no-dev", "--no-install-project", "--extra", "verify", "--python", sys.executable]
    subprocess.run(sync, check=True, cwd=ROOT, env=variables, capture_output=True)
    install = [uv, "pip", "install", "--no-deps", "--python", environment, wheel]
    subprocess.run(install, check=True, cwd=base, env=variables, capture_output=True)
    yield Installed(wheel, environment, folder)
    shutil.rmtree(base)


@pytest.mark.milvus
@pytest.mark.usefixtures("port_9091")
def test_up_and_verify_without_a_clone(installed: Installed, free_port: Callable[[], int]) -> None:
    """
    In an empty folder, `kiteway up --to` in front of a Milvus that runs already is ready, `kiteway verify` verifies it with
    the certificate that `up` names, and `status` finds it. The filter is the wheel's.
    """
    asyncio.run(_up_and_verify(installed, free_port()))


async def _up_and_verify(installed: Installed, port: int) -> None:
    log = installed.folder / "up.log"
    async with StandaloneMilvus(installed.folder / "milvus", health_port=9091) as milvus:
        kiteway = _start(installed, log, "up", "--to", f"127.0.0.1:{milvus.endpoint.port}", "--https-port", str(port))
        try:
            await asyncio.to_thread(wait_until, lambda: "server_pem_path" in _said(log, kiteway), "up is ready", 120.0)
            said = _said(log, kiteway)
            [certificate] = re.findall(r'server_pem_path="([^"]+)"', said)
            arguments = ("kiteway", "verify", f"localhost:{port}", "--ca", certificate)
            verified = await asyncio.to_thread(installed.run, *arguments)
            status = await asyncio.to_thread(installed.run, "kiteway", "status")
            maps = _mapped_filters(installed)
        finally:
            kiteway.send_signal(signal.SIGINT)
            await asyncio.to_thread(kiteway.wait, 60)

    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert "Verified: Milvus" in verified.stdout
    assert status.returncode == 0, status.stdout + status.stderr
    assert "warning" not in status.stdout, "advice about GKE"
    assert str(ROOT) not in said + verified.stdout + status.stdout
    assert maps == {str(_library(installed))}


def _start(installed: Installed, log: Path, *arguments: str) -> subprocess.Popen[bytes]:
    with log.open("wb") as output:
        return subprocess.Popen(
            [installed.environment / "bin/kiteway", *arguments, "--http-port", "0"],
            cwd=installed.folder,
            env=installed.variables(),
            stdout=output,
            stderr=subprocess.STDOUT,
        )


def _said(log: Path, process: subprocess.Popen[bytes]) -> str:
    text = log.read_text()
    assert process.poll() is None, text
    return text


def _library(installed: Installed) -> Path:
    [found] = installed.environment.glob(f"lib/python3*/site-packages/{LIBRARY}")
    return found


def _mapped_filters(installed: Installed) -> set[str]:
    """Return the builds of the filter that the Envoys of this environment have loaded."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if str(installed.environment) in str((process / "exe").readlink()):
                found |= set(
                    re.findall(r"(/\S+libkiteway_filter\S*\.so)$", (process / "maps").read_text(), re.MULTILINE)
                )
        except OSError:
            continue
    return found


def test_the_tag_is_that_of_the_newest_symbol(installed: Installed) -> None:
    """The wheel promises to work with the glibc that the filter needs, as another program reads it, and with any Python."""
    if shutil.which("objdump") is None:
        pytest.skip("objdump is not installed")
    read = subprocess.run(["objdump", "-T", _library(installed)], check=True, capture_output=True, text=True).stdout
    newest = max(tuple(map(int, found.split("."))) for found in re.findall(r"GLIBC_(\d+\.\d+)", read))
    assert f"-py3-none-manylinux_{newest[0]}_{newest[1]}_{os.uname().machine}.whl" in installed.wheel.name


def test_without_glibc_no_index_takes_it() -> None:
    """A filter for musl has no symbol of glibc: the tag must not promise a manylinux."""
    assert platform_tag(b"\x7fELF\x00libc.musl-x86_64.so.1\x00") == f"linux_{os.uname().machine}"
    assert platform_tag(b"\x00GLIBC_2.9\x00GLIBC_2.17\x00GLIBC_2.2.5\x00") == f"manylinux_2_17_{os.uname().machine}"


def test_the_pure_wheel_has_all_but_the_filter(installed: Installed, tmp_path: Path) -> None:
    """It installs everywhere; what a command reads is in both wheels."""
    pure = _build(tmp_path, "skip")
    assert pure.name.endswith("-py3-none-any.whl")
    names, with_filter = set(_names(pure)), set(_names(installed.wheel))
    assert with_filter - names == {LIBRARY}
    assert not names - with_filter
    assert {"kiteway/_examples/guide-self-managed/ingress.yaml", "kiteway/_reference/doctor.md"} <= names
    assert "kiteway/_chart/crds/milvuspolicies.kiteway.io.yaml" in names


def test_the_same_sources_give_the_same_bytes(installed: Installed, tmp_path: Path) -> None:
    """With one SOURCE_DATE_EPOCH a wheel is built twice alike."""
    assert _build(tmp_path, "require").read_bytes() == installed.wheel.read_bytes()


def _names(wheel: Path) -> list[str]:
    return [name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name]
