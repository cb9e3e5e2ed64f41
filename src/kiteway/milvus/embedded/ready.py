"""Waits until one proxy of Milvus serves: its `/healthz` and its gRPC health check."""

from __future__ import annotations

import asyncio
import socket
import time
from dataclasses import dataclass

from kiteway.milvus.embedded.config import TLSFiles
from kiteway.milvus.embedded.grpc_probe import (
    ProbeError,
    UnauthenticatedError,
    http_status,
    pinned_tls,
    unary_call,
)
from kiteway.milvus.embedded.process import ChildProcess
from kiteway.netns import NetworkNamespace

LOOPBACK = "127.0.0.1"
_HTTP_OK = 200
_PROBE_SECONDS = 2.0
_PROBE_PAUSE_SECONDS = 0.05

# grpc.health.v1: the empty request asks for the whole server; HealthCheckResponse.status = 1 (SERVING).
HEALTH_CHECK = "/grpc.health.v1.Health/Check"
SERVING = b"\x08\x01"


@dataclass(frozen=True)
class MilvusEndpoint:
    """The address of one Milvus proxy; inside the network namespace if there is one."""

    address: str
    port: int
    health_port: int
    """HTTP port of `/healthz` and the metrics; it must never be exposed."""
    name: str


class NotServingError(Exception):
    """A process ended or did not serve in time; a caller puts the name of the server before the message."""


def connect(host: str, port: int, netns: NetworkNamespace | None) -> socket.socket:
    """Open a TCP connection, from inside `netns` when given."""
    if netns is not None:
        return netns.connect(host, port, _PROBE_SECONDS)
    return socket.create_connection((host, port), _PROBE_SECONDS)


async def wait_serving(
    process: ChildProcess,
    endpoint: MilvusEndpoint,
    *,
    tls: TLSFiles | None,
    netns: NetworkNamespace | None,
    timeout: float,
) -> None:
    """Wait until `process` serves at `endpoint`, at most `timeout` seconds.

    Raises:
        NotServingError: the process ended, or did not serve in time.
    """
    deadline = time.monotonic() + timeout
    while True:
        try:
            await asyncio.to_thread(probe, endpoint, tls=tls, netns=netns)
        except (OSError, ProbeError) as error:
            reason = str(error)
        else:
            return
        if process.returncode is not None:
            raise NotServingError(f"ended with status {process.returncode}")
        if time.monotonic() > deadline:
            raise NotServingError(f"does not serve after {timeout:g} s ({reason})")
        await asyncio.sleep(_PROBE_PAUSE_SECONDS)


async def wait_listening(process: ChildProcess, port: int, netns: NetworkNamespace | None, timeout: float) -> None:
    """Wait until something listens on a port of loopback, at most `timeout` seconds.

    Raises:
        NotServingError: the process ended, or nothing listens in time.
    """
    deadline = time.monotonic() + timeout
    while True:
        try:
            (await asyncio.to_thread(connect, LOOPBACK, port, netns)).close()
        except OSError as error:
            reason = str(error)
        else:
            return
        if process.returncode is not None:
            raise NotServingError(f"ended with status {process.returncode}")
        if time.monotonic() > deadline:
            raise NotServingError(f"does not listen on {LOOPBACK}:{port} after {timeout:g} s ({reason})")
        await asyncio.sleep(_PROBE_PAUSE_SECONDS)


def probe(endpoint: MilvusEndpoint, *, tls: TLSFiles | None, netns: NetworkNamespace | None) -> None:
    """Ask a proxy once whether it serves.

    Raises:
        ProbeError: it answers that it does not.
        OSError: it does not answer.
    """
    # /healthz alone does not show that Milvus serves: Milvus answers it before it listens on the serving port.
    status = http_status(connect(LOOPBACK, endpoint.health_port, netns), "/healthz")
    if status != _HTTP_OK:
        raise ProbeError(f"/healthz answers {status}")
    with connect(LOOPBACK, endpoint.port, netns) as sock:
        try:
            answer = _health_check(sock, tls)
        except UnauthenticatedError:  # with authorization even this call needs credentials
            return
    if answer != SERVING:
        raise ProbeError(f"{HEALTH_CHECK} does not answer SERVING")


def _health_check(sock: socket.socket, tls: TLSFiles | None) -> bytes:
    if tls is None:
        return unary_call(sock, HEALTH_CHECK, b"", scheme="http")
    clients = tls.clients
    with pinned_tls(sock, tls.cert, (clients.cert, clients.key) if clients else None) as secured:
        return unary_call(secured, HEALTH_CHECK, b"", scheme="https")
