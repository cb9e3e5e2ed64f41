"""Checks this machine for what `kiteway up`, `demo` and `verify` need."""

from __future__ import annotations

import errno
import importlib.util
import re
import resource
import shutil
import socket
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from kiteway.diagnostics import ObjectRef
from kiteway.envoy.binary import EnvoyNotFoundError, find_envoy
from kiteway.filter import missing_reason
from kiteway.instance import Instance, InstanceError, default_data_dir
from kiteway.netns import NetworkNamespace, NetworkNamespaceError
from kiteway.ports import Port, holders
from kiteway.report.exports import ExportReport
from kiteway.status.client import OtherVersionError, read_status

MACHINE: Final = ObjectRef("Machine", "", "this machine")
"""Its identity in a report."""

PORTS: Final = (8443, 8080)
"""The default ports of `kiteway up`."""

EXTRAS: Final = {"verify": "pymilvus", "acme": "acme", "kubernetes": "lightkube"}
"""The module that shows whether an extra of the package is installed."""

_ENVOY_SECONDS = 10.0
_VERSION = re.compile(r"/(\d+)\.(\d+)\.(\d+)")
_MIGRATE_REQ = Path("/proc/sys/net/ipv4/tcp_migrate_req")


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineFacts:
    """
    The facts about this machine.

    Attributes:
        envoy: the path of the Envoy binary; empty if there is none.
        envoy_problem: why there is none, or why it does not run.
        envoy_version: as ``envoy --version`` says it; None if it says none.
        filter_problem: why the filter is missing and what to do; empty if it is there.
        cargo: whether Rust's cargo is on PATH.
        missing_extras: extras of the package that are not installed.
        ports_taken: ports of `PORTS` that cannot be used, and why: which process uses them, or the kernel's error.
        ports_of_kiteway: ports of `PORTS` that a running Kiteway uses, and its data directory.
        migrate_req: ``net.ipv4.tcp_migrate_req``; None where the kernel does not have it.
        descriptors: the hard limit of open files of a process; None if there is no limit.
        netns_problem: why no network namespace can be made; empty if one can.
        export: the export of the running instance to a collector; None if no instance runs, or it exports nothing.
    """

    envoy: str = ""
    envoy_problem: str = ""
    envoy_version: tuple[int, int, int] | None = None
    filter_problem: str = ""
    cargo: bool = True
    missing_extras: tuple[str, ...] = ()
    ports_taken: Mapping[int, str] = field(default_factory=dict)
    ports_of_kiteway: Mapping[int, Path] = field(default_factory=dict)
    migrate_req: int | None = None
    descriptors: int | None = None
    netns_problem: str = ""
    export: ExportReport | None = None


def look_at_machine(envoy: Path | None = None, instance: Instance | None = None) -> MachineFacts:
    """
    Check this machine; nothing on it is changed.

    Args:
        envoy: an Envoy binary instead of the packaged one.
        instance: the instance that may run; None for the default one.
    """
    path, problem, version = _envoy(envoy)
    taken = {port: found for port in PORTS if (found := _taken(port))}
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MachineFacts(
        envoy=path,
        envoy_problem=problem,
        envoy_version=version,
        filter_problem=missing_reason(),
        cargo=shutil.which("cargo") is not None,
        missing_extras=tuple(extra for extra, module in EXTRAS.items() if importlib.util.find_spec(module) is None),
        ports_taken={port: why for port, why in taken.items() if isinstance(why, str)},
        ports_of_kiteway={
            port: instance.data_dir for port, instance in taken.items() if isinstance(instance, Instance)
        },
        migrate_req=_migrate_req(),
        descriptors=None if hard == resource.RLIM_INFINITY else hard,
        netns_problem=_netns_problem(),
        export=_export(instance or Instance(default_data_dir())),
    )


def _export(instance: Instance) -> ExportReport | None:
    try:
        return read_status(instance).export if instance.running_pid() is not None else None
    except (InstanceError, OtherVersionError, OSError):
        return None


def _envoy(explicit: Path | None) -> tuple[str, str, tuple[int, int, int] | None]:
    try:
        path = find_envoy(explicit)
    except EnvoyNotFoundError as error:
        return "", str(error), None
    try:
        done = subprocess.run(
            [path, "--version"], capture_output=True, check=False, timeout=_ENVOY_SECONDS, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(path), f"{path} does not run: {error}", None
    return str(path), "", parse_version(done.stdout.decode(errors="replace"))


def parse_version(text: str) -> tuple[int, int, int] | None:
    """Read the version out of ``envoy --version``: ``envoy  version: COMMIT/1.40.0/Clean/RELEASE/BoringSSL``."""
    found = _VERSION.search(text)
    return (int(found[1]), int(found[2]), int(found[3])) if found else None


def _taken(port: int) -> Instance | str:
    """Return the Kiteway that uses a port, or else why it cannot be used; an empty text if it can be."""
    with socket.socket() as probe:
        # As Envoy binds: sockets in TIME_WAIT do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            return _user(port) if error.errno == errno.EADDRINUSE else error.strerror or str(error)
    return ""


def _user(port: int) -> Instance | str:
    found = holders(Port("127.0.0.1", port, ""))
    if ours := next((holder.instance for holder in found if holder.instance), None):
        return ours
    if seen := next((holder for holder in found if holder.pid), None):
        return f"{seen.program} (process {seen.pid}, user {seen.user}) uses it"
    return "another process uses it"


def _migrate_req() -> int | None:
    try:
        return int(_MIGRATE_REQ.read_text())
    except (OSError, ValueError):
        return None


def _netns_problem() -> str:
    try:
        with NetworkNamespace.create():
            return ""
    except (NetworkNamespaceError, OSError) as error:
        return str(error)
