"""One Milvus process: start, wait until it serves, stop and remove its files."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from kiteway.milvus.embedded.binary import MilvusBinary
from kiteway.milvus.embedded.config import TLSFiles, config_dir
from kiteway.milvus.embedded.grpc_probe import (
    ProbeError,
    UnauthenticatedError,
    http_status,
    pinned_tls,
    unary_call,
)
from kiteway.milvus.embedded.logs import last_lines
from kiteway.milvus.embedded.process import ChildProcess
from kiteway.netns import NetworkNamespace

Progress = Callable[[str], None]
"""Called with one short line that names the present step."""

LOOPBACK = "127.0.0.1"
# Fixed in Milvus: its pid file is in the first, or in the second when the first cannot be written;
# the file with its node id is in the second.
_RUN_DIRECTORIES = (Path("/run/milvus"), Path("/tmp/milvus"))  # noqa: S108 (not our choice)
_HTTP_OK = 200
_PROBE_SECONDS = 2.0
_PROBE_PAUSE_SECONDS = 0.05

# grpc.health.v1: the empty request asks for the whole server; HealthCheckResponse.status = 1 (SERVING).
_HEALTH_CHECK = "/grpc.health.v1.Health/Check"
_SERVING = b"\x08\x01"


class MilvusStartError(RuntimeError):
    """Milvus did not start; the message ends with its last log lines."""


@dataclass(frozen=True)
class MilvusEndpoint:
    """The address of one Milvus proxy; inside the network namespace if there is one."""

    address: str
    port: int
    health_port: int
    """HTTP port of `/healthz` and the metrics; it must never be exposed."""
    name: str


def connect(host: str, port: int, netns: NetworkNamespace | None) -> socket.socket:
    """Open a TCP connection, from inside `netns` when given."""
    if netns is not None:
        return netns.connect(host, port, _PROBE_SECONDS)
    return socket.create_connection((host, port), _PROBE_SECONDS)


class MilvusServer:
    """One process of the Milvus program in one role, its configuration already written in its `home`."""

    def __init__(
        self,
        binary: MilvusBinary,
        role: str,
        endpoint: MilvusEndpoint,
        *,
        home: Path,
        tls: TLSFiles | None,
        netns: NetworkNamespace | None,
        first_libraries: Path | None = None,
    ) -> None:
        """Describe the process; `first_libraries` goes before the wheel's own on the search path."""
        self.endpoint = endpoint
        self._binary = binary
        self._role = role
        self._home = home
        self._tls = tls
        self._netns = netns
        self._libraries = [str(path) for path in (first_libraries, binary.libraries) if path is not None]
        self._alias = f"kiteway-{os.getpid()}-{endpoint.port}"
        self._process: ChildProcess | None = None

    @property
    def process(self) -> ChildProcess:
        """The running process.

        Raises:
            RuntimeError: it was never started.
        """
        if self._process is None:
            raise RuntimeError(f"Milvus {self.endpoint.name} is not started")
        return self._process

    async def start(self, timeout: float) -> None:
        """Start it and wait until it serves, at most `timeout` seconds.

        Raises:
            MilvusStartError: the certificate cannot be used, it ended, or it did not serve in time.
        """
        if self._tls is not None:
            check_key_pair(self._tls)
        self._process = await ChildProcess.start(
            (str(self._binary.program), "run", self._role, "-alias", self._alias),
            env=self._environment(),
            cwd=self._home,
            console=self._console,
            netns=self._netns,
        )
        try:
            await self._wait_ready(self._process, timeout)
        except BaseException:
            await self.stop(grace=0)
            raise

    async def stop(self, grace: float) -> None:
        """Send SIGTERM, wait `grace` seconds, then send SIGKILL to the group. Idempotent."""
        if self._process is not None:
            await self._process.stop(grace, signal.SIGTERM)
            for name in (f"{self._role}-{self._alias}.pid", f"server_id_{self._process.pid}"):
                for directory in _RUN_DIRECTORIES:
                    (directory / name).unlink(missing_ok=True)

    @property
    def _console(self) -> Path:
        return self._home / "logs" / f"{self.endpoint.name}.console"

    def _environment(self) -> dict[str, str]:
        # Milvus reads every setting from the environment, too, so it gets these variables only.
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
        return kept | {
            "LD_LIBRARY_PATH": ":".join(self._libraries),
            "MILVUSCONF": str(config_dir(self._home)),
            "METRICS_PORT": str(self.endpoint.health_port),
        }

    async def _wait_ready(self, process: ChildProcess, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        while True:
            try:
                await asyncio.to_thread(self._probe)
            except (OSError, ProbeError) as error:
                reason = str(error)
            else:
                return
            if process.returncode is not None:
                raise self._start_error(f"ended with status {process.returncode}")
            if time.monotonic() > deadline:
                raise self._start_error(f"does not serve after {timeout:g} s ({reason})")
            await asyncio.sleep(_PROBE_PAUSE_SECONDS)

    def _probe(self) -> None:
        # /healthz alone does not show that Milvus serves: Milvus answers it before it listens on the serving port.
        status = http_status(self._connect(self.endpoint.health_port), "/healthz")
        if status != _HTTP_OK:
            raise ProbeError(f"/healthz answers {status}")
        with self._connect(self.endpoint.port) as sock:
            try:
                answer = self._health_check(sock)
            except UnauthenticatedError:  # with authorization even this call needs credentials
                return
        if answer != _SERVING:
            raise ProbeError(f"{_HEALTH_CHECK} does not answer SERVING")

    def _health_check(self, sock: socket.socket) -> bytes:
        if self._tls is None:
            return unary_call(sock, _HEALTH_CHECK, b"", scheme="http")
        clients = self._tls.clients
        with pinned_tls(sock, self._tls.cert, (clients.cert, clients.key) if clients else None) as secured:
            return unary_call(secured, _HEALTH_CHECK, b"", scheme="https")

    def _connect(self, port: int) -> socket.socket:
        return connect(LOOPBACK, port, self._netns)

    def _start_error(self, what: str) -> MilvusStartError:
        logs = self._home / "logs"
        lines = [line for path in (self._console, *logs.glob(f"{self._role}*.log")) for line in last_lines(path)]
        quoted = "\n  ".join(lines) or "(no log lines)"
        return MilvusStartError(f"Milvus {self.endpoint.name} {what}; the end of its logs in {logs}:\n  {quoted}")


def check_key_pair(tls: TLSFiles) -> None:
    """Make sure a server can use a certificate and its key.

    Raises:
        MilvusStartError: a file is missing, is not PEM, is encrypted, or the two do not belong together.
    """
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(tls.cert, tls.key, password="")
    except OSError as error:  # ssl.SSLError is one
        raise MilvusStartError(f"Milvus cannot serve TLS with {tls.cert} and {tls.key}: {error}") from error
