"""The supervisor and a real Envoy: kills, drain and succession."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import grpc
import pytest

from kiteway.envoy.admin import AdminClient, AdminError
from kiteway.instance import Instance
from kiteway.supervisor import read_state

pytestmark = pytest.mark.e2e

DEADLINE = 60.0
PROGRAM = Path(__file__).with_name("supervised.py")
METHOD = "/test.Test/Call"


def alive(pid: int) -> bool:
    """Whether ``pid`` is a process that runs (a zombie does not)."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/stat")
    return not status.exists() or status.read_text().rsplit(")", 1)[1].split()[0] != "Z"


async def until(condition: Callable[[], bool]) -> None:
    """Wait for ``condition``."""
    async with asyncio.timeout(DEADLINE):
        while not condition():  # noqa: ASYNC110 - conditions of other processes have no event
            await asyncio.sleep(0.01)


class Supervised:
    """The program under test."""

    def __init__(self, data_dir: Path, port: int, upstream_port: int) -> None:
        self.instance = Instance(data_dir)
        self.port = port
        self.process = subprocess.Popen(
            [sys.executable, PROGRAM, data_dir, str(port), str(upstream_port)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )

    async def ready(self, *, other_than: int = 0) -> int:
        """Wait until Envoy serves, as another process than ``other_than``; return its pid."""
        async with asyncio.timeout(DEADLINE), AdminClient(self.instance.admin_socket) as admin:
            while True:
                state = read_state(self.instance.supervisor_file)
                pid = state.children["envoy"].pid if state else None
                if pid and pid != other_than:
                    with contextlib.suppress(AdminError):
                        if await admin.ready():
                            return pid
                await asyncio.sleep(0.01)

    def restarts(self) -> int:
        """Return how often Envoy was started again."""
        state = read_state(self.instance.supervisor_file)
        return state.children["envoy"].restarts if state else 0

    async def end(self) -> int:
        """Wait for its end; return its exit status."""
        async with asyncio.timeout(DEADLINE):
            return await asyncio.to_thread(self.process.wait)

    def close(self) -> None:
        """End what a failed test left."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        assert self.process.stderr
        self.process.stderr.close()


class Upstream:
    """A gRPC server whose every call waits until ``answer`` is set."""

    def __init__(self) -> None:
        self.calls = 0
        self.answer = asyncio.Event()
        self.answer.set()

    async def call(self, request: bytes, _: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        """Answer with the request."""
        self.calls += 1
        await self.answer.wait()
        return request

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[int]:
        """Serve on a port of the kernel's choice; yield it."""
        server = grpc.aio.server()
        handler: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(self.call)
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Test", {"Call": handler}),))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        try:
            yield port
        finally:
            await server.stop(0)


def channel(port: int) -> grpc.aio.Channel:
    """Return a channel with its own connection, which retries nothing that reached the wire."""
    options = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0)]
    return grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=options)


async def call(client: grpc.aio.Channel, *, wait_for_ready: bool = False) -> bytes:
    """Make one call."""
    method: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = client.unary_unary(METHOD)
    return await method(b"hello", timeout=DEADLINE, wait_for_ready=wait_for_ready)


@contextlib.contextmanager
def supervised(data_dir: Path, port: int, upstream_port: int) -> Iterator[Supervised]:
    """Start the program; end it whatever happens."""
    program = Supervised(data_dir, port, upstream_port)
    try:
        yield program
    finally:
        program.close()


def test_killed_envoy_comes_back(tmp_path: Path, free_port: Callable[[], int], envoy_binary: Path) -> None:
    """After a kill -9 of Envoy another one serves on the same port, and the reason is recorded."""

    async def main() -> None:
        async with Upstream().serving() as upstream_port:
            with supervised(tmp_path, free_port(), upstream_port) as program:
                first = await program.ready()
                async with channel(program.port) as client:
                    assert await call(client) == b"hello"
                os.kill(first, signal.SIGKILL)
                await program.ready(other_than=first)
                async with channel(program.port) as client:
                    assert await call(client) == b"hello"
                state = read_state(program.instance.supervisor_file)
                assert state is not None
                assert state.children["envoy"].restarts == 1
                assert state.children["envoy"].last_exit == "killed by SIGKILL"
                program.process.terminate()
                assert await program.end() == 0

    asyncio.run(main())


def listeners(port: int) -> int:
    """Return how many listeners a port of IPv4 has (proc_net_tcp(5); 0A is LISTEN)."""
    lines = Path("/proc/thread-self/net/tcp").read_text().splitlines()[1:]
    return sum(fields[1].endswith(f":{port:04X}") and fields[3] == "0A" for fields in map(str.split, lines))


def test_new_connections_wait_for_a_killed_envoy(
    tmp_path: Path, free_port: Callable[[], int], envoy_binary: Path
) -> None:
    """
    A client that connects between the end of a killed Envoy and the start of the next is neither refused nor
    reset.
    """
    if not kernel_migrates():
        pytest.skip("net.ipv4.tcp_migrate_req is not 1")

    async def main() -> None:
        async with Upstream().serving() as upstream_port:
            port = free_port()
            with supervised(tmp_path, port, upstream_port) as program:
                first = await program.ready()
                # Envoy's one worker and, behind it, the supervisor.
                await until(lambda: listeners(port) == 2)
                stop = asyncio.Event()
                os.kill(first, signal.SIGKILL)
                await until(lambda: program.restarts() == 1)
                clients = [asyncio.create_task(fleeting(port, stop)) for _ in range(5)]
                await program.ready(other_than=first)
                # For as long as the waiting room may be open beside Envoy, and longer.
                async with channel(port) as client:
                    for _ in range(200):
                        await call(client)
                stop.set()
                assert min(await asyncio.gather(*clients)) > 0
                program.process.terminate()
                assert await program.end() == 0

    asyncio.run(main())


@pytest.mark.skipif(sys.platform != "linux", reason="PR_SET_PDEATHSIG is Linux's")
def test_killed_supervisor_leaves_no_envoy_and_blocks_no_successor(
    tmp_path: Path, free_port: Callable[[], int], envoy_binary: Path
) -> None:
    """A kill -9 of the supervisor ends Envoy too; the next instance starts in spite of the old files."""

    async def main() -> None:
        port = free_port()
        with supervised(tmp_path, port, 1) as program:
            envoy = await program.ready()
            program.process.kill()
            await program.end()
            await until(lambda: not alive(envoy))
        assert program.instance.admin_socket.exists()
        with supervised(tmp_path, port, 1) as program:
            await program.ready(other_than=envoy)
            program.process.terminate()
            assert await program.end() == 0

    asyncio.run(main())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_drain_finishes_calls_in_flight(
    number: signal.Signals, tmp_path: Path, free_port: Callable[[], int], envoy_binary: Path
) -> None:
    """
    A call in flight is answered, an idle client gets GOAWAY, a new connection is refused; then no process is left.

    The channel of the idle client goes from READY to IDLE by the GOAWAY while the other call keeps Envoy alive.
    """

    async def main() -> None:
        upstream = Upstream()
        async with upstream.serving() as upstream_port:
            with supervised(tmp_path, free_port(), upstream_port) as program:
                envoy = await program.ready()
                async with channel(program.port) as busy, channel(program.port) as idle:
                    assert await call(idle) == b"hello"
                    assert idle.get_state() is grpc.ChannelConnectivity.READY
                    upstream.answer.clear()
                    slow = asyncio.create_task(call(busy))
                    await until(lambda: upstream.calls == 2)
                    program.process.send_signal(number)
                    async with asyncio.timeout(DEADLINE):
                        await idle.wait_for_state_change(grpc.ChannelConnectivity.READY)
                    with pytest.raises(ConnectionRefusedError):
                        await asyncio.open_connection("127.0.0.1", program.port)
                    assert alive(envoy)
                    assert not slow.done()
                    upstream.answer.set()
                    assert await slow == b"hello"
                    assert await program.end() == 0
                assert not alive(envoy)

    asyncio.run(main())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["logs", "state"]


def test_second_instance_on_a_data_directory_is_refused(
    tmp_path: Path, free_port: Callable[[], int], envoy_binary: Path
) -> None:
    """The second instance names the process of the first, which goes on."""

    async def main() -> None:
        with supervised(tmp_path, free_port(), 1) as first:
            envoy = await first.ready()
            with supervised(tmp_path, free_port(), 1) as second:
                assert await second.end() == 2
                assert second.process.stderr
                assert f"in use by process {first.process.pid}" in second.process.stderr.read().decode()
            assert await first.ready() == envoy
            first.process.terminate()
            assert await first.end() == 0

    asyncio.run(main())


def kernel_migrates() -> bool:
    """Whether connections that a closing listener had not accepted go to another on the same port."""
    try:
        return Path("/proc/sys/net/ipv4/tcp_migrate_req").read_text().strip() == "1"
    except FileNotFoundError:
        return False


async def steady(port: int, stop: asyncio.Event) -> int:
    """Call again and again on one channel, which connects anew when it is sent away; return how often."""
    calls = 0
    async with channel(port) as client:
        while not stop.is_set():
            # A connection that the kernel throws away is tried again, the call is not.
            await call(client, wait_for_ready=not kernel_migrates())
            calls += 1
    return calls


async def fleeting(port: int, stop: asyncio.Event) -> int:
    """Make a connection for each call; return how many."""
    calls = 0
    while not stop.is_set():
        async with channel(port) as client:
            await call(client, wait_for_ready=not kernel_migrates())
        calls += 1
    return calls


def test_successor_takes_the_port_over_without_a_failed_call(
    tmp_path: Path, free_port: Callable[[], int], envoy_binary: Path
) -> None:
    """
    A second instance listens on the same port, the first drains and ends: no call of any client fails.

    Steady clients change over in the middle of their calls, others connect for each call, and an idle client calls
    again when the first instance has ended.
    """

    async def main() -> None:
        upstream = Upstream()
        async with upstream.serving() as upstream_port:
            port = free_port()
            stop = asyncio.Event()
            with (
                supervised(tmp_path / "old", port, upstream_port) as old,
                contextlib.ExitStack() as later,
            ):
                await old.ready()
                async with channel(port) as idle:
                    await call(idle)
                    clients = [asyncio.create_task(kind(port, stop)) for kind in (steady, fleeting) for _ in range(3)]
                    await until(lambda: upstream.calls > 50)
                    new = later.enter_context(supervised(tmp_path / "new", port, upstream_port))
                    await new.ready()
                    old.process.terminate()
                    assert await old.end() == 0
                    after = upstream.calls + 50
                    await until(lambda: upstream.calls > after or any(client.done() for client in clients))
                    assert await call(idle) == b"hello"
                    stop.set()
                    assert min(await asyncio.gather(*clients)) > 0
                new.process.terminate()
                assert await new.end() == 0

    asyncio.run(main())
