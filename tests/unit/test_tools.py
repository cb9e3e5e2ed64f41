"""The scripts in ``tools/`` on which other tools rely."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tools import debian, in_netns

SCRIPT = Path(in_netns.__file__)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="network namespaces and Debian packages are Linux's")


def test_a_command_runs_isolated_and_its_exit_code_is_kept() -> None:
    """Inside, loopback is the only interface and works; the exit code is the command's own."""
    if reason := in_netns.permitted():
        pytest.skip(f"no network namespace is permitted here: {reason}")
    inside = (
        "import socket, sys; server = socket.create_server(('127.0.0.1', 0)); "
        "socket.create_connection(server.getsockname()).close(); "
        "sys.exit(7 if [name for _, name in socket.if_nameindex()] == ['lo'] else 1)"
    )
    done = subprocess.run([sys.executable, SCRIPT, sys.executable, "-c", inside], check=False)
    assert done.returncode == 7


def test_without_permission_the_command_runs_outside_with_a_note(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """If no namespace is permitted, the command runs outside and a note says so."""
    became: list[str] = []
    monkeypatch.setattr(in_netns, "isolated", lambda: False)
    monkeypatch.setattr(in_netns, "permitted", lambda: "not here")
    monkeypatch.setattr(in_netns, "enter", lambda: pytest.fail("entered without permission"))
    monkeypatch.setattr("os.execvp", lambda _program, arguments: became.extend(arguments))
    monkeypatch.setattr("sys.argv", ["in_netns.py", "pytest", "-x"])
    in_netns.main()
    assert became == ["pytest", "-x"]
    assert "NOTE: no network namespace of its own (not here)" in capsys.readouterr().err


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let the Debian packages go below a path with a space."""
    tools = tmp_path / "a clone" / ".tools"
    for name, path in {
        "BIN": "bin",
        "_HOME": "debian",
        "_ROOT": "debian/root",
        "_RECORD": "debian/packages.json",
    }.items():
        monkeypatch.setattr(debian, name, tools / path)
    return tools


def test_without_apt_the_error_says_what_to_do(
    elsewhere: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a machine without apt the message names the packages and the alternative."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(debian.DebianError, match=r"no apt-get on this machine\. Install haproxy with"):
        debian.programs("haproxy")


def _package(folder: Path) -> Path:
    """Make ``greet``: a program that prints its arguments and where it looks for libraries."""
    tree = folder / "greet"
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "usr/sbin").mkdir(parents=True)
    (tree / "usr/lib/x86_64-linux-gnu").mkdir(parents=True)
    (tree / "usr/lib/x86_64-linux-gnu/libgreet.so.1").touch()
    (tree / "DEBIAN/control").write_text(
        "Package: greet\nVersion: 1.2-3\nArchitecture: all\nMaintainer: a <a@example.com>\nDescription: a\n"
    )
    program = tree / "usr/sbin/greet"
    program.write_text('#!/bin/sh\nprintf "%s\\n" "$@" "$LD_LIBRARY_PATH"\n')
    program.chmod(0o755)
    archive = folder / "greet_1.2-3_all.deb"
    subprocess.run(["dpkg-deb", "--build", tree, archive], check=True, capture_output=True)
    return archive


def test_a_package_is_unpacked_once_and_its_program_finds_its_libraries(
    elsewhere: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    The wrapper passes arguments on and sets the library path, wherever the clone is; a second call downloads
    nothing.
    """
    if shutil.which("dpkg-deb") is None or shutil.which("apt-get") is None:
        pytest.skip("no dpkg-deb or apt-get on this machine")
    downloads: list[list[str]] = []

    def download(packages: list[str]) -> list[Path]:
        downloads.append(packages)
        (elsewhere / "debian/apt").mkdir()
        return [_package(tmp_path)]

    monkeypatch.setattr(debian, "_download", download)
    program = debian.programs("greet")["greet"]
    assert debian.programs("greet") == {"greet": program}
    assert downloads == [["greet"]]

    moved = elsewhere.rename(tmp_path / "moved here")
    done = subprocess.run([moved / "bin/greet", "two words"], check=True, capture_output=True, text=True)
    argument, libraries = done.stdout.splitlines()
    assert argument == "two words"
    folders = [Path(folder) for folder in libraries.split(":")]
    assert any((folder / "libgreet.so.1").exists() for folder in folders)
