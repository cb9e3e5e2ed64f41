"""A port belongs to one instance, and to its successor."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from tests.support.kiteway import KITEWAY, up, wait_listening, wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

MANIFESTS = """
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: milvus, namespace: default, annotations: {kubernetes.io/ingress.allow-http: "ALLOW"}}
spec:
  defaultBackend: {service: {name: milvus, port: {number: 19530}}}
---
apiVersion: v1
kind: Service
metadata: {name: milvus, namespace: default, annotations: {cloud.google.com/neg: '{"ingress": true}'}}
spec:
  ports: [{name: milvus, port: 19530, appProtocol: kubernetes.io/h2c}]
"""
LISTENERS = ["--https-port", "--http-port", "--grpc-port", "--metrics-bind"]


class Site:
    """Manifests that serve plain HTTP, or nothing, and ports that are free."""

    def __init__(self, folder: Path, free_port: Callable[[], int]) -> None:
        self.folder = folder
        self.ports = {option: free_port() for option in LISTENERS}
        self.free_port = free_port
        for name, allowed in (("serving", "true"), ("silent", "false")):
            (folder / f"{name}.yaml").write_text(MANIFESTS.replace("ALLOW", allowed))

    def arguments(self, manifests: str = "serving", **ports: int) -> list[str]:
        """Return the command line."""
        return self.with_ports(self.ports | {f"--{name}-port": number for name, number in ports.items()}, manifests)

    def with_ports(self, ports: Mapping[str, int], manifests: str = "serving") -> list[str]:
        """Return the command line with other ports, by their options."""
        result = ["-f", str(self.folder / f"{manifests}.yaml"), "--drain", "20"]
        for option, number in ports.items():
            result += [option, f"127.0.0.1:{number}" if option == "--metrics-bind" else str(number)]
        return result

    def others(self) -> dict[str, int]:
        """Return a free port for each listener."""
        return {option: self.free_port() for option in LISTENERS}

    def refused(self, arguments: Sequence[str], name: str = "second", *, before: Sequence[str] = ()) -> str:
        """Run `kiteway up` to its end; return what it said."""
        return _refused([*before, KITEWAY, "up", "--data-dir", self.folder / name, *arguments])


def _refused(command: Sequence[str | Path]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=90)
    assert done.returncode == 1, done.stderr
    assert "ready" not in done.stderr
    return " ".join(done.stderr.split())


@pytest.fixture
def site(free_port: Callable[[], int], envoy_binary: Path) -> Iterator[Site]:
    """Give a folder whose path leaves room for unix sockets."""
    folder = Path(tempfile.mkdtemp(prefix="kw-"))
    yield Site(folder, free_port)
    shutil.rmtree(folder)


@pytest.mark.parametrize("option", LISTENERS)
@pytest.mark.parametrize("command", ["up", "controller"])
def test_a_port_that_a_stranger_has_is_refused_with_its_name(site: Site, command: str, option: str) -> None:
    """
    For every listener: exit status 1, and the message has the port, the option, and the other process and
    program.
    """
    port = site.ports[option]
    kubeconfig = site.folder / "kubeconfig"
    kubeconfig.write_text(
        "{apiVersion: v1, kind: Config, current-context: c, contexts: [{name: c, context: {cluster: c, user: u}}],"
        " clusters: [{name: c, cluster: {server: 'http://127.0.0.1:1'}}], users: [{name: u, user: {token: t}}]}"
    )
    if command == "controller":
        if option == "--grpc-port":
            pytest.skip("the controller has no such listener")
        arguments: list[str | Path] = [
            KITEWAY,
            "controller",
            "--data-dir",
            site.folder / "data",
            "--kubeconfig",
            kubeconfig,
        ]
        arguments += ["--bind", "127.0.0.1", *site.arguments()[4:]]
        index = arguments.index("--grpc-port")
        del arguments[index : index + 2]
    else:
        arguments = [KITEWAY, "up", "--data-dir", site.folder / "data", *site.arguments()]

    with socket.create_server(("127.0.0.1", port)):
        said = _refused(arguments)

    assert f"cannot listen on 127.0.0.1:{port} ({option}): " in said
    assert f"(process {os.getpid()}, user " in said
    assert f"choose another port with {option}" in said


@pytest.mark.parametrize(("family", "address"), [(socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")])
def test_a_stranger_on_every_address_is_in_the_way_too(site: Site, family: socket.AddressFamily, address: str) -> None:
    """
    A listener on all addresses gets the connections to loopback as well; one on :: also those by IPv4, unless
    it is IPv6 only.
    """
    port = site.ports["--https-port"]
    with socket.create_server((address, port), family=family, dualstack_ipv6=family is socket.AF_INET6):
        said = site.refused(site.arguments())

    assert f"cannot listen on 127.0.0.1:{port} (--https-port): " in said
    assert f"(process {os.getpid()}, " in said


@pytest.mark.parametrize("option", LISTENERS)
def test_a_port_of_another_instance_is_refused_with_its_data_directory(site: Site, option: str) -> None:
    """The second instance ends with 1 and names the first, which goes on serving."""
    with up(site.arguments(), site.folder / "first") as first:
        own = site.others() | {option: site.ports[option]}
        said = site.refused(site.with_ports(own))

        assert f"({option}): the Kiteway with the data directory {first.instance.data_dir} " in said
        assert f"(process {first.process.pid})" in said
        assert f"start with `--replace {first.instance.data_dir}`" in said
        assert first.status()["ready"]


def test_a_port_that_an_instance_does_not_use_yet_is_its_own(site: Site) -> None:
    """A manifest may open the port at any time: no process listens on it, and another instance is still refused."""
    with up(site.arguments("silent"), site.folder / "first") as first:
        port = site.ports["--http-port"]
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port))
        said = site.refused(site.with_ports(site.others() | {"--https-port": port}, "silent"))

        assert f"{port} (--https-port): the Kiteway with the data directory {first.instance.data_dir} " in said


def test_of_two_that_start_at_once_one_runs(site: Site) -> None:
    """If two instances start at the same time, one gets the port; the other ends with 1 and names it."""
    names = ("one", "two")
    logs = {name: site.folder / f"{name}.log" for name in names}
    with contextlib.ExitStack() as stack:
        running = {}
        for name in names:
            output = stack.enter_context(logs[name].open("wb"))
            command: list[str | Path] = [
                KITEWAY,
                "up",
                "--data-dir",
                site.folder / name,
                *site.arguments("silent"),
            ]
            process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
            stack.callback(process.wait)
            stack.callback(process.terminate)
            running[name] = process
        wait_until(lambda: any(process.poll() is not None for process in running.values()), "one of them ends")
        (lost,) = (name for name, process in running.items() if process.poll() is not None)
        (won,) = set(names) - {lost}
        wait_until(lambda: "ready" in logs[won].read_text(), "the other one is ready")

        assert running[lost].returncode == 1
        assert str(site.folder / won) in "".join(logs[lost].read_text().splitlines())


def test_a_successor_takes_every_port_over_and_its_predecessor_ends(site: Site) -> None:
    """With --replace the new instance listens beside the old one, which drains when the new one is ready."""
    with up(site.arguments(), site.folder / "old") as old:
        wait_listening(site.ports["--http-port"])
        arguments = [*site.arguments(), "--replace", str(old.instance.data_dir)]
        with up(arguments, site.folder / "new") as new:
            assert old.process.wait(60) == 0
            wait_listening(site.ports["--http-port"])
            wait_listening(int(site.ports["--metrics-bind"]))
            assert new.status()["ready"]
            assert f"predecessor: draining {old.instance.data_dir}" in "".join(new.log.read_text().splitlines())
            # The place is taken again, by the successor.
            said = site.refused(site.arguments(), "third")
            assert f"the Kiteway with the data directory {new.instance.data_dir} " in said


def test_a_successor_replaces_one_instance_and_no_other(site: Site) -> None:
    """If another instance than the named one has a port, the successor is refused, and no instance drains."""
    own = site.others()
    with (
        up(site.arguments(), site.folder / "first") as first,
        up(site.with_ports(own), site.folder / "other") as other,
    ):
        arguments = [*site.arguments(), "--replace", str(other.instance.data_dir)]
        said = site.refused(arguments, "third")

        assert f"the Kiteway with the data directory {first.instance.data_dir} " in said
        assert first.status()["ready"]
        assert other.status()["ready"]


def test_an_instance_gets_the_ports_after_a_kill(site: Site) -> None:
    """This holds also while the kernel still ends the children of a supervisor that was killed with -9."""
    with up(site.arguments(), site.folder / "killed") as killed:
        killed.process.kill()
        killed.process.wait()
        with up(site.arguments(), site.folder / "next") as following:
            assert following.status()["ready"]


def test_a_missing_address_is_reported(site: Site) -> None:
    """The message names an address that this machine does not have (one of RFC 5737, for documentation)."""
    said = site.refused([*site.arguments(), "--bind", "192.0.2.1"])

    assert "this machine has no address 192.0.2.1. Give one of its addresses with --bind" in said


def test_a_privileged_port_without_permission_is_reported(site: Site) -> None:
    """The message names the capability, the kernel's setting, and the option."""
    if int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text()) <= 443:
        pytest.skip("no port is privileged here")
    before: list[str] = []
    if os.geteuid() == 0:
        if not (setpriv := shutil.which("setpriv")):
            pytest.skip("root without setpriv has every right")
        before = [setpriv, "--bounding-set", "-net_bind_service", "--inh-caps", "-net_bind_service"]
    said = site.refused(site.arguments(https=443), before=before)

    assert "cannot listen on 127.0.0.1:443 (--https-port): " in said
    assert "CAP_NET_BIND_SERVICE" in said
    assert "net.ipv4.ip_unprivileged_port_start=443" in said


def test_the_demo_looks_before_it_starts_milvus(site: Site) -> None:
    """If the given port is taken, the demo ends with 1 at once and leaves no files."""
    port = site.ports["--https-port"]
    with socket.create_server(("127.0.0.1", port)):
        said = _refused([KITEWAY, "demo", "--once", "--https-port", str(port), "--data-dir", site.folder / "demo"])

    assert f"cannot listen on 127.0.0.1:{port} (--https-port): " in said
    assert "Milvus" not in said
