"""A network namespace is separate, usable from this process, and ends with its parent."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from kiteway import netns
from kiteway.netns import NetworkNamespace, NetworkNamespaceError, supported

needs_namespaces = pytest.mark.skipif(supported() is not None, reason=str(supported()))


def eventually(condition: Callable[[], bool]) -> bool:
    """Wait, at most a minute, until a condition holds; say whether it does."""
    deadline = time.monotonic() + 60
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


@needs_namespaces
def test_loopback_works_inside_and_is_another_one() -> None:
    """`connect` reaches a server inside; from outside the same port is not reachable."""
    with (
        NetworkNamespace.create() as namespace,
        namespace.call(lambda: socket.create_server(("127.0.0.1", 0))) as server,
    ):
        port = server.getsockname()[1]
        with namespace.connect("127.0.0.1", port) as client:
            accepted, _ = server.accept()
            with accepted:
                accepted.sendall(b"inside")
                assert client.recv(6) == b"inside"
        with socket.socket() as outside:
            assert outside.connect_ex(("127.0.0.1", port)) != 0


def _namespaces() -> dict[str, Path]:
    """Return the network namespace of every thread of this process."""
    return {path.parts[4]: path.readlink() for path in Path("/proc/self/task").glob("*/ns/net")}


@needs_namespaces
def test_this_process_stays_where_it_was() -> None:
    """`call` leaves every thread of this process in its own namespace, also if the function fails."""
    before = _namespaces()
    with NetworkNamespace.create() as namespace:
        inside = namespace.call(lambda: Path("/proc/thread-self/ns/net").readlink())
        assert inside == Path(namespace.path).readlink()
        assert inside not in before.values()
        with pytest.raises(ZeroDivisionError):
            namespace.call(lambda: 1 // 0)
    assert _namespaces() == before


@needs_namespaces
def test_a_command_runs_inside_under_its_own_pid() -> None:
    """With the command prefix a program runs in the namespace under the pid that was started."""
    with NetworkNamespace.create() as namespace:
        code = "import os; print(os.getpid(), os.readlink('/proc/self/ns/net'))"
        with subprocess.Popen(
            [*namespace.command_prefix, sys.executable, "-c", code], stdout=subprocess.PIPE, text=True
        ) as inside:
            assert inside.communicate()[0].split() == [str(inside.pid), str(Path(namespace.path).readlink())]


@needs_namespaces
def test_close_ends_the_holder() -> None:
    """After `close`, which may be called twice, no process holds the namespace."""
    namespace = NetworkNamespace.create()
    path = Path(namespace.path)
    namespace.close()
    namespace.close()
    assert not path.exists()


@needs_namespaces
def test_kill_9_of_the_parent_ends_the_holder() -> None:
    """When the process that made the namespace is killed with SIGKILL, its holder ends."""
    code = "import time; from kiteway.netns import NetworkNamespace as N; n = N.create(); print(n.path, flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        path = Path(parent.stdout.readline().strip())
        assert path.exists()
        os.kill(parent.pid, signal.SIGKILL)
    assert eventually(lambda: not path.exists())


@needs_namespaces
@pytest.mark.skipif(shutil.which("setpriv") is None, reason="setpriv takes the capability away")
def test_without_the_capability_the_reason_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """If the kernel refuses, `supported` returns the kernel's reason and the needed capabilities."""
    without = ("setpriv", "--inh-caps=-sys_admin", "--bounding-set=-sys_admin", "--")
    monkeypatch.setattr(netns, "_SELF", (*without, *netns._SELF))
    reason = supported()
    assert reason is not None
    assert "Operation not permitted" in reason
    assert "CAP_SYS_ADMIN" in reason


def test_elsewhere_than_linux_the_reason_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """On another system the result is a sentence, not a traceback."""
    monkeypatch.setattr(sys, "platform", "darwin")
    assert supported() == "network namespaces exist only on Linux"
    with pytest.raises(NetworkNamespaceError):
        NetworkNamespace.create()
