"""The supervisor's small parts: back-off, logs, reasons, state."""

from __future__ import annotations

import asyncio
import datetime as dt
import os
from pathlib import Path

import pytest

from kiteway.instance import Instance
from kiteway.report.supervisor import ChildState, Phase, SupervisorState
from kiteway.rotation import KEPT_FILES
from kiteway.supervisor import NotReadyError, read_state, wait_ready
from kiteway.supervisor.child import exit_reason
from kiteway.supervisor.children import envoy_child
from kiteway.supervisor.keeper import child_backoff, next_delay
from kiteway.supervisor.logs import LINE_LIMIT_BYTES, PrefixedStderr, RotatingLog, forward
from kiteway.supervisor.state import write_state


def test_backoff_doubles_to_its_limit() -> None:
    """The waits are 0.1 s, doubling, at most 10 s."""
    backoff = child_backoff()
    delays = [next_delay(backoff, 0.0) for _ in range(9)]
    assert delays == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10, 10])


def test_backoff_begins_again_after_a_good_run() -> None:
    """A child that ran for 30 s restarts at once; one that ran less does not."""
    backoff = child_backoff()
    assert [next_delay(backoff, ran) for ran in (0, 0, 29.9, 30, 0)] == pytest.approx([0.1, 0.2, 0.4, 0.1, 0.2])


@pytest.mark.parametrize(
    ("returncode", "reason"),
    [(0, "exit status 0"), (3, "exit status 3"), (-9, "killed by SIGKILL"), (-63, "killed by signal 63")],
)
def test_exit_reason(returncode: int, reason: str) -> None:
    """The reason describes the end of a child in words."""
    assert exit_reason(returncode) == reason


@pytest.mark.parametrize(
    ("ours", "envoy_s"),
    [
        (None, "glibc.pthread.rseq=0"),
        ("glibc.malloc.check=3", "glibc.pthread.rseq=0:glibc.malloc.check=3"),
    ],
)
def test_envoy_s_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ours: str | None, envoy_s: str) -> None:
    """
    The allocator may have per-CPU caches; the user's tunables come last, so that they have priority; no
    secret is passed on.
    """
    monkeypatch.setenv("MILVUS_TOKEN", "root:Milvus")
    monkeypatch.delenv("GLIBC_TUNABLES", raising=False)
    if ours is not None:
        monkeypatch.setenv("GLIBC_TUNABLES", ours)
    instance = Instance(tmp_path)
    with instance.acquire():
        env = envoy_child(Path("/envoy"), instance, {}, env={"MORE": "1"}).env
    assert env["GLIBC_TUNABLES"] == envoy_s
    assert env["MORE"] == "1"
    assert "MILVUS_TOKEN" not in env


def test_envoy_finds_the_filter_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Envoy 1.38 looks for the filter of a route in the search path: the filter's folder, or what the user set."""
    built = tmp_path / "filter" / "libkiteway_filter.so"
    built.parent.mkdir()
    built.touch()
    monkeypatch.setenv("KITEWAY_FILTER_PATH", str(built))
    monkeypatch.delenv("ENVOY_DYNAMIC_MODULES_SEARCH_PATH", raising=False)
    instance = Instance(tmp_path / "data")
    with instance.acquire():
        assert envoy_child(Path("/envoy"), instance, {}).env["ENVOY_DYNAMIC_MODULES_SEARCH_PATH"] == str(built.parent)
        monkeypatch.setenv("ENVOY_DYNAMIC_MODULES_SEARCH_PATH", "/theirs")
        assert envoy_child(Path("/envoy"), instance, {}).env["ENVOY_DYNAMIC_MODULES_SEARCH_PATH"] == "/theirs"


def test_log_rotation_is_bounded_and_keeps_order(tmp_path: Path) -> None:
    """The newest lines are in the file, older ones in .1 to .4, the oldest are deleted; every file is private."""
    path = tmp_path / "child.log"
    log = RotatingLog(path, max_bytes=20)
    lines = [f"line {number:03}\n".encode() for number in range(100)]  # 9 bytes: two a file
    for line in lines:
        log.write(line)
    log.close()
    names = [path, *(tmp_path / f"child.log.{number}" for number in range(1, KEPT_FILES + 1))]
    assert sorted(tmp_path.iterdir()) == sorted(names)
    assert b"".join(name.read_bytes() for name in reversed(names)) == b"".join(lines[-10:])
    assert {name.stat().st_mode & 0o777 for name in names} == {0o600}


def test_log_goes_on_after_a_restart(tmp_path: Path) -> None:
    """A new supervisor appends, and counts the existing bytes."""
    path = tmp_path / "child.log"
    for _ in range(2):
        log = RotatingLog(path, max_bytes=20)
        log.write(b"0123456789\n")
        log.close()
    assert (tmp_path / "child.log.1").read_bytes() == path.read_bytes() == b"0123456789\n"


def test_log_outlives_a_directory_that_vanished(tmp_path: Path) -> None:
    """If a log cannot be written its lines are lost, and nothing else fails."""
    log = RotatingLog(tmp_path / "missing" / "child.log")
    log.write(b"lost\n")
    (tmp_path / "missing").mkdir()
    log.write(b"kept\n")
    log.close()
    assert (tmp_path / "missing" / "child.log").read_bytes() == b"kept\n"


def _forwarded(folder: Path, text: bytes) -> bytes:
    """Return what the log of a child holds that writes ``text``."""
    path = folder / "child.log"
    readable, writable = os.pipe()

    async def both() -> None:
        log = RotatingLog(path)
        with os.fdopen(readable, "rb") as pipe, os.fdopen(writable, "wb", buffering=0) as writer:
            copying = asyncio.create_task(forward(pipe, log))
            await asyncio.to_thread(writer.write, text)
            writer.close()
            await copying
        log.close()

    asyncio.run(both())
    return path.read_bytes()


def test_forward_splits_lines_that_are_too_long(tmp_path: Path) -> None:
    """A child that writes no newline uses bounded memory, and none of its output is lost."""
    text = b"x" * (3 * LINE_LIMIT_BYTES) + b"\nlast, without an end"
    written = _forwarded(tmp_path, text)
    assert written.replace(b"\n", b"") == text.replace(b"\n", b"")
    assert max(map(len, written.splitlines())) <= LINE_LIMIT_BYTES + 1
    assert written.endswith(b"\nlast, without an end\n")


def test_forward_escapes_what_a_terminal_would_obey(tmp_path: Path) -> None:
    """Text of tenants and clients in a child's output cannot control the reader's terminal, and is not lost."""
    assert (
        _forwarded(tmp_path, b"a\x1b[2J\xff \xe2\x80\xae\r\n\xe9\x9b\x86\n")
        == rb"a\x1b[2J\xff \u202e\r" + b"\n\xe9\x9b\x86\n"
    )


def test_stderr_lines_carry_the_child_s_name(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """On a shared stderr every line has the child's name."""
    PrefixedStderr("envoy").write(b"hello\n")
    assert capfdbinary.readouterr().err == b"envoy: hello\n"


def test_state_is_read_back(tmp_path: Path) -> None:
    """`kiteway status` reads the state that the supervisor wrote."""
    at = dt.datetime(2026, 11, 29, tzinfo=dt.UTC)
    state = SupervisorState(7, at, Phase.RUNNING, {"envoy": ChildState(8, at, 3, "killed by SIGKILL", at)})
    write_state(tmp_path / "s", state)
    assert read_state(tmp_path / "s") == state


@pytest.mark.parametrize("content", [None, b"", b"{}", b"[1]", b"\xff"])
def test_state_that_is_not_ours_is_none(tmp_path: Path, content: bytes | None) -> None:
    """A missing file, or one in another format, is no state and never an exception."""
    if content is not None:
        (tmp_path / "s").write_bytes(content)
    assert read_state(tmp_path / "s") is None


def serve(instance: Instance, answers: list[bytes], timeout: float) -> int:
    """Answer each connection to the status socket with the next of ``answers``; return how many were made."""
    connections = 0

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"GET /ready HTTP/1.")
        writer.write(answers[min(connections, len(answers) - 1)])
        connections += 1
        writer.close()

    async def main() -> None:
        async with await asyncio.start_unix_server(answer, instance.status_socket):
            await wait_ready(instance, timeout)

    with instance.acquire():
        asyncio.run(main())
    return connections


NOT_READY = b"HTTP/1.1 503 Service Unavailable\r\n\r\nno configuration yet\n"


def test_wait_ready_waits_for_200(tmp_path: Path) -> None:
    """503 means wait; 200 means ready."""
    assert serve(Instance(tmp_path), [NOT_READY, NOT_READY, b"HTTP/1.1 200 OK\r\n\r\n"], 30) == 3


def test_wait_ready_says_why_not(tmp_path: Path) -> None:
    """The error ends with the control plane's own reason."""
    with pytest.raises(NotReadyError, match=r"^Not ready after 0.01 s: no configuration yet\.$"):
        serve(Instance(tmp_path), [NOT_READY], 0.01)


def test_wait_ready_survives_nonsense(tmp_path: Path) -> None:
    """An answer that is not HTTP is "not reachable"."""
    with pytest.raises(NotReadyError, match="not reachable"):
        serve(Instance(tmp_path), [b"nonsense"], 0.01)


def test_wait_ready_without_a_control_plane(tmp_path: Path) -> None:
    """Without a socket the error says so."""
    with pytest.raises(NotReadyError, match=r"not reachable .*No such file"):
        asyncio.run(wait_ready(Instance(tmp_path), 0.01))
