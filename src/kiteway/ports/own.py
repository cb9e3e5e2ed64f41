"""Checks, before an instance listens, that each of its ports is free or belongs to its predecessor."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from kiteway.instance import Instance
from kiteway.ports.claims import ClaimedError, Claims
from kiteway.ports.holders import Holder, holder_of, holders
from kiteway.ports.port import Port, PortError
from kiteway.printable import printable, suggested

PATIENCE_SECONDS = 2.0
"""Seconds to wait for a port: a process that was stopped a moment ago may still use it."""

_POLL_SECONDS = 0.05


@contextlib.contextmanager
def own_ports(
    ports: Sequence[Port],
    *,
    predecessor: Instance | None = None,
    envoy: Path | None = None,
    patience: float = PATIENCE_SECONDS,
    replaces: bool = True,
) -> Iterator[Claims]:
    """
    Own ``ports`` until the end of the ``with``, or until the claims are released.

    No socket is left that listens on them. Another instance of this user sees that the ports are taken.

    Args:
        ports: those that listeners may use.
        predecessor: the instance that this one replaces; it may listen on them.
        envoy: the Envoy binary, which may have capabilities that this process does not have.
        patience: seconds to wait for a port that is taken.
        replaces: whether the command has the option --replace, so that the advice may name it.

    Raises:
        PortError: one of them cannot be used.
    """
    pid = predecessor.running_pid() if predecessor else None
    with Claims(pid) as claims:
        for port in ports:
            deadline = time.monotonic() + patience
            while (problem := _take(claims, port, pid, envoy)) is not None:
                if time.monotonic() >= deadline:
                    raise PortError(_taken(port, problem, replaces=replaces))
                time.sleep(_POLL_SECONDS)
        yield claims


def _take(claims: Claims, port: Port, predecessor: int | None, envoy: Path | None) -> Sequence[Holder] | None:
    """
    Return None if the port is owned now, else the processes that use it, as far as they are visible.

    Raises:
        PortError: it cannot be used, however long the instance waits.
    """
    try:
        claims.take(port)
    except ClaimedError as error:
        return [holder_of(error.pid, os.geteuid()) if error.pid else Holder(None, "another Kiteway")]
    try:
        _look(port)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            if error.errno == errno.EACCES and envoy is not None and _has_rights(envoy):
                return None
            raise PortError(_why(error, port)) from error
        found = holders(port)
        if predecessor is None or not found or any(holder.supervisor != predecessor for holder in found):
            # Two instances may wait for this port: without a claim each of them sees the process that uses it.
            claims.give_up(port)
            return found
    return None


def _look(port: Port) -> None:
    """Bind the port without SO_REUSEPORT, which fails if another process listens there. Raises OSError."""
    family = socket.AF_INET6 if ":" in port.address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # Connections of an earlier listener in TIME_WAIT must not block the port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        probe.bind((port.address, port.number))


def _why(error: OSError, port: Port) -> str:
    text = f"cannot listen on {port} ({port.option}): "
    if error.errno == errno.EACCES:
        return (
            f"{text}ports below {_unprivileged()} need a permission that this process does not have. Give the service "
            "CAP_NET_BIND_SERVICE (systemd: AmbientCapabilities=CAP_NET_BIND_SERVICE), set "
            f"sysctl net.ipv4.ip_unprivileged_port_start={port.number}, or choose a higher port with {port.option}."
        )
    if error.errno == errno.EADDRNOTAVAIL:
        everything = "::" if ":" in port.address else "0.0.0.0"  # noqa: S104 - it is a suggestion
        return (
            f"{text}this machine has no address {port.address}. Give one of its addresses with {port.address_option} "
            f"(`ip address` shows them), or {everything} for all of them."
        )
    return f"{text}{error.strerror or error}."


def _taken(port: Port, found: Sequence[Holder], *, replaces: bool) -> str:
    head = f"cannot listen on {port} ({port.option}): "
    ours = next((holder for holder in found if holder.instance), None)
    if ours is not None and ours.instance is not None:
        folder = ours.instance.data_dir
        instead = f" To take its place without a failed call, start with {suggested('--replace', str(folder))}."
        return (
            f"{head}the Kiteway with the data directory {printable(str(folder))} (process {ours.supervisor}) has it. "
            f"{_other(port, 'Stop that one')}{instead if replaces else ''}"
        )
    seen = next((holder for holder in found if holder.pid), None)
    if seen is not None:
        return f"{head}{seen.program} (process {seen.pid}, user {seen.user}) has it. {_other(port, 'End it')}"
    who = (found[0].program or f"a program of the user {found[0].user}") if found else "another program"
    return f"{head}{who} has it; only root can see which one (`ss -ltnp`). {_other(port, 'End it')}"


def _other(port: Port, otherwise: str) -> str:
    none = ", or 0 for none" if port.option == "--http-port" else ""
    return f"{otherwise}, or choose another port with {port.option}{none}."


def _unprivileged() -> int:
    try:
        return int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text())
    except (OSError, ValueError):
        return 1024


def _has_rights(program: Path) -> bool:
    """Tell whether a program has file capabilities (setcap)."""
    try:
        return bool(os.getxattr(program, "security.capability"))
    except (OSError, AttributeError):  # none, or no Linux
        return False
