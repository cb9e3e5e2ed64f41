"""Reads the status of a running instance."""

from __future__ import annotations

import contextlib
import datetime as dt
import http.client
import socket
from pathlib import Path
from typing import TypeVar

import msgspec

from kiteway import __version__
from kiteway.instance import Instance
from kiteway.report.pools import CheckedEndpoint
from kiteway.report.status import SCHEMA_VERSION, Errors, Health, SchemaVersion, State, Status
from kiteway.report.supervisor import ChildState, Phase, SupervisorState
from kiteway.supervisor.pulse import HUNG_SECONDS
from kiteway.supervisor.state import read_state

_TIMEOUT_SECONDS = 10.0
_HANGS_SECONDS = 1.0
"""The timeout while the supervisor reports that the control plane hangs: it can recover at any moment."""

T = TypeVar("T")


class OtherVersionError(Exception):
    """The instance has another version of Kiteway, whose status this one cannot read; the message says what to do."""

    def __init__(self, found: SchemaVersion) -> None:
        super().__init__(
            f"the running instance is Kiteway {found.version or 'of an unknown version'}, whose status has schema version "
            f"{found.schema_version}; this is Kiteway {__version__}, which reads schema version {SCHEMA_VERSION}. Use the "
            "`kiteway` that started the instance, or restart the instance with this one."
        )


class _UnixConnection(http.client.HTTPConnection):
    """The standard library's client on a unix socket: httpx's transport leaks the socket when it is refused."""

    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("kiteway", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def read_status(instance: Instance) -> Status:
    """
    Return the status of ``instance``.

    When the control plane does not answer, the state is not ready, ``answered`` is False and ``reason`` says why.

    Raises:
        OtherVersionError: the instance has another version of the status.
    """
    supervisor = read_state(instance.supervisor_file)
    try:
        found = _decode(_get(instance, "/status", _controlplane(supervisor)), Status)
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = _reason(supervisor, error)
        found = Status(version="", state=State.NOT_READY, reasons=(reason,), answered=False, ready=False, reason=reason)
    return msgspec.structs.replace(found, supervisor=supervisor)


def read_errors(instance: Instance) -> Errors | None:
    """
    Return the diagnostics that are errors or warnings, and how many times changed objects were read; None without an answer.

    It costs a fraction of a whole status.

    Raises:
        OtherVersionError: the instance has another version of the status.
    """
    try:
        supervisor = read_state(instance.supervisor_file)
        return _decode(_get(instance, "/errors", _controlplane(supervisor)), Errors)
    except (OSError, http.client.HTTPException, ValueError):
        return None


def read_health(instance: Instance) -> tuple[tuple[CheckedEndpoint, ...], ...] | None:
    """
    Return the endpoints of each pool and their checks, at a fraction of the cost of a status; None without an answer.

    Raises:
        OtherVersionError: the instance has another version of the status.
    """
    try:
        supervisor = read_state(instance.supervisor_file)
        return _decode(_get(instance, "/health", _controlplane(supervisor)), Health).pools
    except (OSError, http.client.HTTPException, ValueError):
        return None


def _decode(body: bytes, kind: type[T]) -> T:
    """Return the report; raise ``ValueError`` for a body that is not JSON, `OtherVersionError` for another version."""
    version = msgspec.json.decode(body, type=SchemaVersion)
    if version.schema_version != SCHEMA_VERSION:
        raise OtherVersionError(version)
    return msgspec.json.decode(body, type=kind)


def _get(instance: Instance, path: str, child: ChildState | None) -> bytes:
    """Ask the control plane. Raises ``OSError`` or ``HTTPException`` when it does not answer."""
    hangs = child is not None and child.silent_since is not None
    connection = _UnixConnection(instance.status_socket, _HANGS_SECONDS if hangs else _TIMEOUT_SECONDS)
    with contextlib.closing(connection):
        connection.request("GET", path)
        response = connection.getresponse()
        if response.status != http.client.OK:
            raise http.client.HTTPException(f"HTTP status {response.status}")
        return response.read()


def _controlplane(supervisor: SupervisorState | None) -> ChildState | None:
    return supervisor.children.get("controlplane") if supervisor else None


def _reason(supervisor: SupervisorState | None, error: Exception) -> str:
    serves = "Envoy serves on with the last configuration"
    if supervisor is not None and supervisor.phase is Phase.DRAINING:
        return "Kiteway is stopping; calls in progress end first"
    child = _controlplane(supervisor)
    unborn = child is None or (child.pid is None and not child.last_exit)
    if unborn:
        return "Kiteway is starting"
    if child is not None and child.silent_since is not None:
        seconds = max(0.0, (dt.datetime.now(dt.UTC) - child.silent_since).total_seconds())
        return (
            f"the control plane (process {child.pid}) hangs: no answer for {seconds:.0f} s; after {HUNG_SECONDS:g} s it is "
            f"killed and started again. {serves}"
        )
    if child is not None and child.pid is None and child.last_exit:
        return f"the control plane has ended ({child.last_exit}) and is started again by itself. {serves}"
    if child is not None and isinstance(error, FileNotFoundError | ConnectionRefusedError):
        # Its process runs and has not made its socket yet.
        return f"the control plane is starting. {serves}" if child.restarts else "Kiteway is starting"
    return f"the control plane does not answer ({error}). {serves}"
