"""The contestants: each accepts gRPC over TLS on its own port and forwards it over TLS to one backend."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from string import Template

from google.protobuf.json_format import MessageToDict

from bench.cpu import CpuMeter, tree
from bench.outcome import BenchError
from bench.processes import free_port, running
from kiteway.envoy.binary import EnvoyNotFoundError, find_envoy
from kiteway.envoy.settings import EnvoySettings
from kiteway.envoy.xds.access_log import access_logs
from kiteway.filter import filter_path

HOST = "my-release.milvus.io"
# As many worker threads for each as there are CPUs: Envoy's own default.
WORKERS = len(os.sched_getaffinity(0))
_CONFIGS = Path(__file__).resolve().parent / "configs"


@dataclass(frozen=True)
class Setting:
    """
    What a contestant works with.

    Attributes:
        work: a separate folder.
        programs: see `bench.outcome.Context`.
        backend: the port of 127.0.0.1 to hand calls on to.
        certificate: the server certificate, PEM.
        key: its private key, PEM.
        envoy: another Envoy than the installed one.
        workers: worker threads of all but Kiteway, which has as many as there are CPUs.
    """

    work: Path
    programs: Mapping[str, Path]
    backend: int
    certificate: Path
    key: Path
    envoy: Path | None = None
    workers: int = WORKERS

    def render(self, config: str, **values: object) -> Path:
        """Fill in a file of ``bench/configs`` and return where it is."""
        text = Template((_CONFIGS / config).read_text()).substitute(
            work=self.work,
            backend=self.backend,
            certificate=self.certificate,
            key=self.key,
            workers=self.workers,
            **values,
        )
        path = self.work / config
        path.write_text(text)
        return path

    def program(self, name: str) -> Path:
        """
        Return where a program is.

        Raises:
            BenchError: it is not on this machine.
        """
        if name not in self.programs:
            raise BenchError(f"there is no {name} on this machine")
        return self.programs[name]


@dataclass(frozen=True)
class Running:
    """A contestant at work: its port, its log, and its first process; None where there is no balancer at all."""

    port: int
    log: Path
    process: subprocess.Popen[bytes] | None

    def ended(self) -> bool:
        """Tell whether its process is gone, so that waiting for it is in vain."""
        return self.process is not None and self.process.poll() is not None

    def meters(self) -> tuple[CpuMeter, CpuMeter]:
        """Return meters of all its processes and of those that calls pass through (of Kiteway only Envoy)."""
        processes = tree(self.process.pid) if self.process is not None else {}
        envoys = [pid for pid, name in processes.items() if name.startswith("envoy")]
        return CpuMeter(processes), CpuMeter(envoys or processes)

    def envoy_memory(self) -> int:
        """Return the resident bytes of its Envoys."""
        processes = tree(self.process.pid) if self.process is not None else {}
        envoys = [pid for pid, name in processes.items() if name.startswith("envoy")]
        return sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in envoys) * os.sysconf(
            "SC_PAGE_SIZE"
        )


@contextmanager
def direct(setting: Setting) -> Iterator[Running]:
    """No balancer: the client speaks to the backend."""
    yield Running(setting.backend, setting.work / "none.log", None)


def envoy(setting: Setting) -> AbstractContextManager[Running]:
    """Plain Envoy, the same binary that Kiteway runs."""
    return _envoy(setting)


def envoy_with_log(setting: Setting) -> AbstractContextManager[Running]:
    """Plain Envoy that writes the lines that Kiteway writes."""
    return _envoy(setting, access_log=_same_log(setting))


def careful_envoy(setting: Setting) -> AbstractContextManager[Running]:
    """
    Envoy with the same log and the settings of an edge proxy that repeats calls on another endpoint.

    The settings are those of Envoy's own "Configuring Envoy as an edge proxy", with retries on another endpoint and the
    client's deadline.
    """
    manager = {
        "use_remote_address": True,
        "normalize_path": True,
        "request_headers_timeout": "10s",
        "common_http_protocol_options": {"idle_timeout": "610s"},
        "http2_protocol_options": {
            "max_concurrent_streams": 1024,
            "initial_stream_window_size": 1 << 20,
            "initial_connection_window_size": 8 << 20,
        },
    }
    route = {
        "max_stream_duration": {"grpc_timeout_header_max": "600s", "max_stream_duration": "600s"},
        "retry_policy": {
            "retry_on": "connect-failure,refused-stream,reset",
            "retry_host_predicate": [
                {
                    "name": "previous_hosts",
                    "typed_config": {
                        "@type": "type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"
                    },
                }
            ],
        },
    }
    # The one goes into a mapping of YAML in blocks, the other into one in braces.
    lines = ("\n" + " " * 16).join(f"{key}: {json.dumps(value)}" for key, value in manager.items())
    more = "".join(f", {key}: {json.dumps(value)}" for key, value in route.items())
    return _envoy(setting, access_log=_same_log(setting), careful=lines, careful_route=more)


def _same_log(setting: Setting) -> str:
    settings = EnvoySettings(access_log=setting.work / "access.log", filter_path=filter_path())
    return json.dumps([MessageToDict(log) for log in access_logs(settings)])


def constant_answer(setting: Setting) -> AbstractContextManager[Running]:
    """Envoy with the same log whose filter answers every `Connect` itself, with some 300 bytes."""
    return _run_envoy(
        setting, "constant.yaml", access_log=_same_log(setting), filter=filter_path(), answer="constant " * 30
    )


def _envoy(
    setting: Setting, *, access_log: str = "[]", careful: str = "", careful_route: str = ""
) -> AbstractContextManager[Running]:
    return _run_envoy(setting, "envoy.yaml", access_log=access_log, careful=careful, careful_route=careful_route)


@contextmanager
def _run_envoy(setting: Setting, template: str, **values: object) -> Iterator[Running]:
    try:
        binary = find_envoy(setting.envoy)
    except EnvoyNotFoundError as error:
        raise BenchError(str(error)) from error
    port, log = free_port(), setting.work / "envoy.log"
    config = setting.render(template, port=port, **values)
    command = [binary, "--config-path", config, "--use-dynamic-base-id", "--concurrency", f"{setting.workers}"]
    with running([*command, "--log-level", "warning"], log) as process:
        yield Running(port, log, process)


@contextmanager
def nginx(setting: Setting) -> Iterator[Running]:
    """Debian's nginx with grpc_pass."""
    port, log = free_port(), setting.work / "nginx.log"
    config = setting.render("nginx.conf", port=port)
    with running([setting.program("nginx"), "-e", "stderr", "-p", setting.work, "-c", config], log) as process:
        yield Running(port, log, process)


@contextmanager
def haproxy(setting: Setting) -> Iterator[Running]:
    """Debian's HAProxy."""
    port, log = free_port(), setting.work / "haproxy.log"
    pem = setting.work / "haproxy.pem"
    pem.touch(mode=0o600)
    pem.write_bytes(setting.certificate.read_bytes() + setting.key.read_bytes())
    config = setting.render("haproxy.cfg", port=port, pem=pem)
    with running([setting.program("haproxy"), "-db", "-f", config], log) as process:
        yield Running(port, log, process)


def kiteway_without_log(setting: Setting) -> AbstractContextManager[Running]:
    """Kiteway without its access log."""
    return kiteway(setting, "--no-access-log")


@contextmanager
def kiteway(setting: Setting, *more: str) -> Iterator[Running]:
    """Kiteway as a user starts it, with these options too."""
    port, log = free_port(), setting.work / "kiteway.log"
    program = Path(sys.executable).with_name("kiteway")
    if not program.exists():
        raise BenchError(f"there is no {program}; run make setup")
    command = [program, "up", "--to", f"127.0.0.1:{setting.backend}", "--host", HOST, "--bind", "127.0.0.1"]
    options = ["--https-port", str(port), "--http-port", "0", "--data-dir", setting.work / "data", "--drain", "0"]
    if setting.envoy is not None:
        options += ["--envoy", setting.envoy]
    with running([*command, *options, *more], log) as process:
        yield Running(port, log, process)


@dataclass(frozen=True)
class Contestant:
    """
    A balancer.

    Attributes:
        name: in the report.
        run: what runs it.
        logs: whether it writes an access log.
        ours: whether it is Kiteway.
    """

    name: str
    run: Callable[[Setting], AbstractContextManager[Running]]
    logs: bool = False
    ours: bool = False

    @property
    def baseline(self) -> str:
        """The plain Envoy it is compared with: the one that logs as it does."""
        return LOGGING_BASELINE if self.logs else BASELINE


BASELINE = "plain Envoy"
LOGGING_BASELINE = "plain Envoy, same log"
CAREFUL = "Envoy as edge proxy, same log"
DIRECT = "no balancer"
CONTESTANTS = (
    Contestant("Kiteway", kiteway, logs=True, ours=True),
    Contestant(LOGGING_BASELINE, envoy_with_log, logs=True),
    Contestant(CAREFUL, careful_envoy, logs=True),
    Contestant("Kiteway, no log", kiteway_without_log, ours=True),
    Contestant(BASELINE, envoy),
    Contestant("nginx", nginx),
    Contestant("HAProxy", haproxy),
    Contestant(DIRECT, direct),
)
