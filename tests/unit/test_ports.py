"""Which ports an instance needs, which process uses one, and the claims that separate instances."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kiteway.envoy.settings import EnvoySettings
from kiteway.instance import Instance
from kiteway.ports import Claims, Port, PortError, own_ports, ports_of
from kiteway.ports.claims import ClaimedError
from kiteway.ports.holders import holders

linux = pytest.mark.skipif(sys.platform != "linux", reason="abstract sockets and /proc are Linux's")


def port(number: int, address: str = "127.0.0.1") -> Port:
    """Return a port of the HTTPS listener."""
    return Port(address, number, "--https-port")


@contextlib.contextmanager
def another_process(code: str) -> Iterator[int]:
    """Run Python code in a process that then stays until the end; return its pid."""
    text = textwrap.dedent(code) + "\nprint('there', flush=True)\nimport sys\nsys.stdin.read()\n"
    command = [sys.executable, "-I", "-c", text]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert process.stdout
        assert process.stdout.readline() == b"there\n"
        yield process.pid
    finally:
        process.communicate()


@contextlib.contextmanager
def another_user(work: Callable[[], str]) -> Iterator[str]:
    """Call ``work`` in a process of the user nobody, which then stays until the end; return what it returns."""
    answers, answer = os.pipe()
    end, ends = os.pipe()
    if (pid := os.fork()) == 0:
        # An interpreter of its own may be out of that user's reach.
        try:
            os.close(ends)
            os.setgid(65534)
            os.setuid(65534)
            os.write(answer, work().encode())
            os.read(end, 1)
        finally:
            os._exit(0)
    os.close(answer)
    try:
        yield os.read(answers, 4096).decode()
    finally:
        for descriptor in (answers, end, ends):
            os.close(descriptor)
        os.waitpid(pid, 0)


def test_every_listener_counts() -> None:
    """HTTPS, HTTP, plaintext gRPC and the metrics, each with the option that names it."""
    settings = EnvoySettings(bind="::1", https_port=1, http_port=2, grpc_port=3)

    found = ports_of(settings, "[::]:4")

    assert [(str(p), p.option) for p in found] == [
        ("[::1]:1", "--https-port"),
        ("[::1]:2", "--http-port"),
        ("[::1]:3", "--grpc-port"),
        ("[::]:4", "--metrics-bind"),
    ]
    assert len(ports_of(EnvoySettings(http_port=None))) == 1


@pytest.mark.parametrize("metrics", ["0.0.0.0:8443", "127.0.0.1:8080"])
def test_two_listeners_on_one_port_are_a_mistake(metrics: str) -> None:
    """This is an error also if the addresses differ but overlap."""
    with pytest.raises(ValueError, match=r"--https?-port and --metrics-bind are the same port"):
        ports_of(EnvoySettings(), metrics)


def test_a_name_is_no_address_to_bind() -> None:
    """Envoy binds addresses only, and would otherwise report it by a rejection."""
    with pytest.raises(ValueError, match='"localhost" of --bind is not an IP address'):
        ports_of(EnvoySettings(bind="localhost"))


@pytest.mark.parametrize(
    ("one", "other", "overlap"),
    [
        ("127.0.0.1", "127.0.0.1", True),
        ("127.0.0.1", "127.0.0.2", False),
        ("127.0.0.1", "0.0.0.0", True),
        ("0.0.0.0", "127.0.0.1", True),
        ("::", "::1", True),
        ("::", "0.0.0.0", False),
        ("::1", "0:0:0:0:0:0:0:1", True),
    ],
)
@linux
def test_a_claim_is_on_an_address(free_port: Callable[[], int], one: str, other: str, *, overlap: bool) -> None:
    """Addresses that share no connection are two claims; a wildcard covers all addresses of its family."""
    number = free_port()
    with Claims() as first, Claims() as second:
        first.take(port(number, one))
        with pytest.raises(ClaimedError) if overlap else contextlib.nullcontext():
            second.take(port(number, other))
        first.release()
        with Claims() as third:
            third.take(port(number, one))


@linux
def test_a_claim_names_its_process_and_ends_with_it(free_port: Callable[[], int]) -> None:
    """No file is left, however the process ends."""
    number = free_port()
    code = f"""
        from kiteway.ports import Claims, Port
        claims = Claims()
        claims.take(Port("127.0.0.1", {number}, "--https-port"))
    """
    with Claims() as claims:
        with another_process(code) as pid, pytest.raises(ClaimedError) as caught:
            claims.take(port(number))
        assert caught.value.pid == pid
        claims.take(port(number))


@linux
def test_only_one_may_follow(free_port: Callable[[], int]) -> None:
    """
    Of two successors of one instance one gets the claim; when the first instance has ended, the port is the
    successor's.
    """
    number = free_port()
    with Claims() as first, Claims(os.getpid()) as second:
        first.take(port(number))
        second.take(port(number))
        code = f"""
            from kiteway.ports.claims import ClaimedError, Claims, Port
            for predecessor in (None, 1):
                try:
                    Claims(predecessor).take(Port("127.0.0.1", {number}, "--https-port"))
                except ClaimedError as error:
                    assert error.pid == {os.getpid()}
                else:
                    raise AssertionError
        """
        with another_process(code):
            pass
        first.release()
        with another_process(code):
            pass


@linux
@pytest.mark.skipif(os.geteuid() != 0, reason="takes root, to be another user")
def test_another_users_claim_with_our_name_is_nothing(free_port: Callable[[], int]) -> None:
    """Another user cannot prevent an instance from starting by taking the name of its claim."""
    number = free_port()
    claims = [socket.socket(socket.AF_UNIX) for _ in range(2)]
    names = [f"\0kiteway/{os.geteuid()}/port/{number}/127.0.0.1/{slot}" for slot in (1, 2)]

    def work() -> str:
        for claim, name in zip(claims, names, strict=True):
            claim.bind(name)
            claim.listen()
        return "taken"

    with another_user(work) as done:
        assert done == "taken"
        for claim in claims:
            claim.close()
        with own_ports([port(number)], patience=0.0):
            pass


@linux
@pytest.mark.parametrize(
    ("family", "address"),
    [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::ffff:127.0.0.1")],
)
def test_the_holder_of_a_port_is_found(family: socket.AddressFamily, address: str) -> None:
    """The result has process, program and user, and no data directory if the program is not Kiteway."""
    with socket.create_server((address, 0), family=family, dualstack_ipv6=family is socket.AF_INET6) as taken:
        (holder,) = holders(port(taken.getsockname()[1]))

    assert holder.pid == os.getpid()
    assert holder.program == Path("/proc/self/comm").read_text().strip()
    assert holder.instance is None


@linux
def test_an_instance_is_known_by_its_lock(tmp_path: Path) -> None:
    """The port of a process that has a data directory's lock, or of its child, belongs to that instance."""
    instance = Instance(tmp_path / "data")
    code = """
        import socket
        server = socket.create_server(("127.0.0.1", 0))
        print(server.getsockname()[1], flush=True)
    """
    with instance.acquire():
        process = subprocess.Popen(
            [sys.executable, "-I", "-c", f"{textwrap.dedent(code)}\nimport sys; sys.stdin.read()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert process.stdout
        try:
            (holder,) = holders(port(int(process.stdout.readline())))
        finally:
            process.communicate()

    assert (holder.pid, holder.instance, holder.supervisor) == (process.pid, instance, os.getpid())


@linux
@pytest.mark.skipif(os.geteuid() != 0, reason="takes root, to be another user")
def test_an_invisible_process_is_reported(free_port: Callable[[], int]) -> None:
    """Without permission to see the process, the message has its user and the command for root."""
    number = free_port()

    def work() -> str:
        try:
            with own_ports([Port("127.0.0.1", number, "--http-port")], patience=0.0):
                return "free"
        except PortError as error:
            return str(error)

    with socket.create_server(("127.0.0.1", number)) as server:

        def without() -> str:
            os.close(server.fileno())  # its own copy, which it could see
            return work()

        with another_user(without) as said:
            pass

    assert "a program of the user root has it; only root can see which one" in said
    assert "`ss -ltnp`" in said
    assert said.endswith("End it, or choose another port with --http-port, or 0 for none.")


def test_a_connection_that_ended_holds_no_port() -> None:
    """A closed connection in TIME_WAIT does not block the port for a listener."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        number = server.getsockname()[1]
        client = socket.create_connection(("127.0.0.1", number))
        accepted, _ = server.accept()
        accepted.close()
        client.close()
    with own_ports([port(number)], patience=0.0):
        pass


def test_a_port_that_is_taken_for_good_is_refused(free_port: Callable[[], int]) -> None:
    """If one port cannot be owned, the claims on the others are released."""
    numbers = free_port(), free_port()
    with (
        socket.create_server(("127.0.0.1", numbers[1])),
        pytest.raises(PortError, match=rf"cannot listen on 127\.0\.0\.1:{numbers[1]}"),
        own_ports([port(number) for number in numbers], patience=0.0),
    ):
        pass
    with own_ports([port(numbers[0])], patience=0.0):
        pass
