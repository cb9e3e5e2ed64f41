"""Says why the control plane does not answer, and what Envoy serves meanwhile."""

from __future__ import annotations

import datetime as dt
import http.client
import os
import re
from pathlib import Path

import msgspec

from kiteway.instance import Instance
from kiteway.printable import printable
from kiteway.report.supervisor import ChildState, Phase, SupervisorState
from kiteway.status.unix_http import get
from kiteway.supervisor.pulse import HUNG_SECONDS
from kiteway.supervisor.ready import listening_addresses

_ENVOY_SECONDS = 2.0
_LOG_BYTES = 64 * 1024
_LONGEST_LINE = 300
_EVENT = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \[")
"""The begin of a line of `kiteway.controlplane.log`; the last line of a traceback has none."""


class _ServerInfo(msgspec.Struct):
    state: str


def controlplane(supervisor: SupervisorState | None) -> ChildState | None:
    """Return the state of the control plane; None when the supervisor has not told it yet."""
    return supervisor.children.get("controlplane") if supervisor else None


def reason(instance: Instance, supervisor: SupervisorState | None, error: Exception) -> str:
    """Return why the control plane has not answered; ``error`` is what its socket gave."""
    child = controlplane(supervisor)
    if supervisor is not None and supervisor.phase is Phase.DRAINING:
        return "Kiteway is stopping; calls in progress end first"
    if supervisor is None or child is None or (child.pid is None and not child.last_exit):
        return "Kiteway is starting"
    # Its process runs and has not made its socket yet.
    starts = isinstance(error, FileNotFoundError | ConnectionRefusedError)
    if child.silent_since is not None:
        seconds = max(0.0, (dt.datetime.now(dt.UTC) - child.silent_since).total_seconds())
        what = (
            f"the control plane (process {child.pid}) hangs: no answer for {seconds:.0f} s; after {HUNG_SECONDS:g} s it is "
            "killed and started again"
        )
    elif child.pid is None:
        what = f"the control plane has ended ({child.last_exit}) and is started again by itself{_log(instance, supervisor)}"
    elif starts and not child.restarts:
        return "Kiteway is starting"
    elif starts:
        what = f"the control plane is starting again, after {child.last_exit}{_log(instance, supervisor)}"
    else:
        what = f"the control plane does not answer ({error})"
    return f"{what}. {_served(instance, supervisor)}"


def _served(instance: Instance, supervisor: SupervisorState) -> str:
    """Return what Envoy serves. It may never have got a configuration, or have lost it in a restart of its own."""
    envoy = supervisor.children.get("envoy")
    if envoy is None or envoy.pid is None:
        after = f" ({envoy.last_exit})" if envoy is not None and envoy.last_exit else ""
        return f"Nothing is served: Envoy does not run{after}"
    try:
        info = msgspec.json.decode(get(instance.admin_socket, "/server_info", _ENVOY_SECONDS), type=_ServerInfo)
        listeners = get(instance.admin_socket, "/listeners", _ENVOY_SECONDS)
    except (FileNotFoundError, ConnectionRefusedError):
        return "Nothing is served yet: Envoy is starting"
    except (OSError, http.client.HTTPException, msgspec.DecodeError) as error:
        return f"Envoy does not answer either ({error})"
    if info.state != "LIVE":
        return "Nothing is served yet: Envoy waits for its first configuration"
    if not listening_addresses(listeners.decode(errors="replace")):
        return "Nothing is served: Envoy's last configuration has no listener"
    return "Envoy serves on with the last configuration"


def _log(instance: Instance, supervisor: SupervisorState) -> str:
    """Return the file with the control plane's output and the error at its end; nothing where the output has no file."""
    file = instance.log_file("controlplane")
    try:
        if file.stat().st_mtime < supervisor.started.timestamp():
            return ""  # of an earlier run, because this one has --logs
        last = _last_line(file)
    except OSError:
        return ""
    said = f": {last}" if last and not _EVENT.match(last) else ""
    return f"; {file} ends with{said}" if said else f"; its log is {file}"


def _last_line(file: Path) -> str:
    with file.open("rb") as opened:
        opened.seek(max(0, opened.seek(0, os.SEEK_END) - _LOG_BYTES))
        lines = opened.read().decode(errors="replace").split("\n")
    last = next((line.strip() for line in reversed(lines) if line.strip()), "")
    return printable(last if len(last) <= _LONGEST_LINE else f"{last[:_LONGEST_LINE]}…")
