"""One Milvus process: start, wait until it serves, stop and remove its files."""

from __future__ import annotations

import os
import signal
import ssl
from collections.abc import Callable
from pathlib import Path

from kiteway.milvus.embedded.binary import MilvusBinary
from kiteway.milvus.embedded.config import TLSFiles, config_dir
from kiteway.milvus.embedded.logs import last_lines
from kiteway.milvus.embedded.process import ChildProcess
from kiteway.milvus.embedded.ready import MilvusEndpoint, NotServingError, wait_serving
from kiteway.netns import NetworkNamespace

Progress = Callable[[str], None]
"""Called with one short line that names the present step."""

# Fixed in Milvus: its pid file is in the first, or in the second when the first cannot be written;
# the file with its node id is in the second.
_RUN_DIRECTORIES = (Path("/run/milvus"), Path("/tmp/milvus"))  # noqa: S108 (not our choice)


class MilvusStartError(RuntimeError):
    """Milvus did not start; the message ends with its last log lines."""


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
            await wait_serving(self._process, self.endpoint, tls=self._tls, netns=self._netns, timeout=timeout)
        except NotServingError as error:
            await self.stop(grace=0)
            raise self._start_error(str(error)) from None
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
