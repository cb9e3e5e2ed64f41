"""
The balancers in front of the cluster: Kiteway as a user runs it, and simple configurations of plain Envoy and
nginx.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from string import Template

import grpc
from pymilvus.grpc_gen import milvus_pb2

from kiteway.envoy.binary import find_envoy
from tests.chaos.world import World
from tests.support.kiteway import Running, up_with_guide, wait_until
from tests.support.load import Target
from tests.support.reads import service

_CONFIGS = Path(__file__).with_name("configs")
_NGINX = Path(__file__).resolve().parents[2] / ".tools/bin/nginx"


def nginx_program() -> Path | None:
    """Return where nginx is, or None (``python tools/debian.py nginx-light`` gets it)."""
    if _NGINX.exists():
        return _NGINX
    found = shutil.which("nginx")
    return Path(found) if found else None


@contextlib.contextmanager
def kiteway(world: World, port: int, *, cache: bool = False, name: str = "kiteway") -> Iterator[Running]:
    """Run ``kiteway up`` with the guide's manifests; with ``cache`` a policy turns the cache on. ``name`` is its folder's."""
    endpoints = [(place.port, place.health_port) for place in world.places]
    policy = {"cache": {"enabled": True}} if cache else None
    with up_with_guide(world.folder / name, world.front, port, endpoints, policy=policy) as running:
        yield running


@contextlib.contextmanager
def plain_envoy(world: World, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """Run Envoy with least request and the same health check, and nothing else."""
    endpoints = "\n".join(_ENVOY_ENDPOINT.format(place=place) for place in world.places)
    config = _render(world, "envoy.yaml", port, endpoints)
    command = [find_envoy(), "--config-path", config, "--use-dynamic-base-id", "--log-level", "warning"]
    with _running(command, world.folder / "envoy.log") as process:
        yield process


@contextlib.contextmanager
def nginx(world: World, port: int, program: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run nginx with ``grpc_pass`` and its own defaults."""
    servers = "\n".join(f"server 127.0.0.1:{place.port};" for place in world.places)
    config = _render(world, "nginx.conf", port, servers)
    command = [program, "-e", "stderr", "-p", world.folder, "-c", config]
    with _running(command, world.folder / "nginx.log") as process:
        yield process


_ENVOY_ENDPOINT = """\
              - endpoint:
                  address: {{socket_address: {{address: 127.0.0.1, port_value: {place.port}}}}}
                  health_check_config: {{port_value: {place.health_port}}}"""


def _render(world: World, name: str, port: int, endpoints: str) -> Path:
    text = Template((_CONFIGS / name).read_text()).substitute(
        port=port, endpoints=endpoints, certificate=world.front.cert, key=world.front.key, work=world.folder
    )
    path = world.folder / name
    path.write_text(text)
    return path


@contextlib.contextmanager
def _running(command: Sequence[object], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as output:
        process = subprocess.Popen([str(part) for part in command], stdout=output, stderr=subprocess.STDOUT)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_serving(target: Target) -> None:
    """Wait until a balancer answers."""

    def answers() -> bool:
        with target.connect() as connection:
            try:
                service(connection).GetVersion(milvus_pb2.GetVersionRequest(), timeout=2)
            except grpc.RpcError:
                return False
            return True

    wait_until(answers, f"{target.name} serves")
