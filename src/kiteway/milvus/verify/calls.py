"""The calls that PyMilvus makes, and what differs from where Kiteway's own tests run."""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import grpc

from kiteway.milvus.catalogue import catalogue
from kiteway.milvus.verify.report import CallSeen

TESTED = {
    "2.3.5": "a full server",
    "3.2.2": "Milvus Lite, which has the wire of 3.x",
    "2.5.1": "Milvus Lite, which has the wire of 2.5",
}
"""The versions of Milvus that Kiteway's tests run on, and what each is (docs/verified.md)."""

_WORKED = "OK"


class Recorder(grpc.UnaryUnaryClientInterceptor):
    """
    Counts the unary calls of every channel that is made while `recording`.

    PyMilvus takes no interceptor, so the functions with which it makes its channels are replaced meanwhile. It puts its own
    interceptors around this one, so each of its retries is counted.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._outcomes: dict[str, Counter[str]] = {}

    @contextlib.contextmanager
    def recording(self) -> Iterator[None]:
        """Record in the block."""
        makers = {name: getattr(grpc, name) for name in ("insecure_channel", "secure_channel")}

        def recorded(make: Callable[..., grpc.Channel]) -> Callable[..., grpc.Channel]:
            return lambda *arguments, **named: grpc.intercept_channel(make(*arguments, **named), self)

        try:
            for name, make in makers.items():
                setattr(grpc, name, recorded(make))
            yield
        finally:
            for name, make in makers.items():
                setattr(grpc, name, make)

    def intercept_unary_unary(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        """Note the outcome of a call when it ends."""
        call = continuation(client_call_details, request)
        call.add_done_callback(lambda done: self._note(client_call_details.method, outcome(done)))
        return call

    def _note(self, method: str | bytes, text: str) -> None:
        path = method.decode() if isinstance(method, bytes) else method
        with self._lock:
            self._outcomes.setdefault(path, Counter())[text] += 1

    def seen(self) -> tuple[CallSeen, ...]:
        """Return the calls that have ended, sorted by name."""
        known = {rpc.path: rpc for rpc in catalogue()}
        with self._lock:
            outcomes = {path: dict(found) for path, found in self._outcomes.items()}
        rows = [
            CallSeen(
                rpc=known[path].name if path in known else path,
                rpc_class=known[path].rpc_class if path in known else None,
                made=sum(found.values()),
                worked=found.get(_WORKED, 0),
                failures=tuple(sorted(found.keys() - {_WORKED})),
            )
            for path, found in outcomes.items()
        ]
        return tuple(sorted(rows, key=lambda row: row.rpc))


def outcome(call: Any) -> str:
    """Return what a call has ended with: ``OK``, the status of gRPC, or the code inside the answer."""
    code = call.code()
    if code is not grpc.StatusCode.OK:
        return str(getattr(code, "name", code))
    answer = call.result()
    status = getattr(answer, "status", answer)
    number = getattr(status, "code", 0) or getattr(status, "error_code", 0)
    return f"Milvus's code {number}" if number else _WORKED


def differences(milvus: str | None, calls: Iterable[CallSeen]) -> tuple[str, ...]:
    """Return what is other than where Kiteway's tests run, one sentence each."""
    found = []
    number = (milvus or "").removeprefix("milvus_lite").strip("-v").removesuffix("-lite")
    if number not in TESTED:
        which = ", ".join(f"{version} ({what})" for version, what in TESTED.items())
        here = f"Kiteway's tests do not run on Milvus {milvus}" if milvus else "This Milvus does not say its version"
        found.append(f"{here}; they run on {which}.")
    for call in calls:
        if call.rpc_class is None:
            found.append(f"Kiteway does not know the rpc {call.rpc}: it passes, and is never repeated as a read.")
        if "UNIMPLEMENTED" in call.failures:
            found.append(f"This Milvus does not have the rpc {call.rpc}.")
        elif call.failures:
            failed = call.made - call.worked
            found.append(f"{failed} of {call.made} calls of {call.rpc} failed: {', '.join(call.failures)}.")
    return tuple(found)
