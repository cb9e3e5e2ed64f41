"""Reads the status of a running instance."""

from __future__ import annotations

import http.client
from typing import TypeVar

import msgspec

from kiteway import __version__
from kiteway.instance import Instance
from kiteway.report.pools import CheckedEndpoint
from kiteway.report.status import SCHEMA_VERSION, Errors, Health, SchemaVersion, State, Status
from kiteway.report.supervisor import ChildState
from kiteway.status.unanswered import controlplane, reason
from kiteway.status.unix_http import get
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


def read_status(instance: Instance) -> Status:
    """
    Return the status of ``instance``.

    When the control plane does not answer, the state is not ready, ``answered`` is False and ``reason`` says why.

    Raises:
        OtherVersionError: the instance has another version of the status.
    """
    supervisor = read_state(instance.supervisor_file)
    try:
        found = _decode(_get(instance, "/status", controlplane(supervisor)), Status)
    except (OSError, http.client.HTTPException, ValueError) as error:
        why = reason(instance, supervisor, error)
        found = Status(version="", state=State.NOT_READY, reasons=(why,), answered=False, ready=False, reason=why)
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
        return _decode(_get(instance, "/errors", controlplane(supervisor)), Errors)
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
        return _decode(_get(instance, "/health", controlplane(supervisor)), Health).pools
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
    return get(instance.status_socket, path, _HANGS_SECONDS if hangs else _TIMEOUT_SECONDS)
