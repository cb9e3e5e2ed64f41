"""The verification: runs the steps in order, always cleans up, and explains a failure."""

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import Any

from kiteway.milvus.verify.diagnose import PROBE_LIMIT, behind_proxy, diagnose, probe_layers
from kiteway.milvus.verify.errors import grpc_status, text
from kiteway.milvus.verify.report import Failure, FailureReason, Step, VerifyReport, Versions
from kiteway.milvus.verify.sdk import load_pymilvus, quiet
from kiteway.milvus.verify.session import Session
from kiteway.milvus.verify.target import Target
from kiteway.probe.threads import in_daemon_thread

DEFAULT_TIMEOUT = 60.0
"""Seconds for the whole run."""

_RESERVE = 0.2
"""Share of the time that is reserved for cleaning up and for finding the cause of a failure."""
_OVERSHOOT = 3.2
"""Seconds by which PyMilvus may miss a call's timeout: it sleeps up to 3 s between retries."""
_DETAIL = 300
"""Characters of an error kept as a step's detail."""
_GRACE = 5.0
"""The most seconds to wait for a running step before the collection is dropped."""

_HOPELESS_LIMIT = 2.0
"""Seconds for a connect of which the probes say that it will fail."""
_MAY_PASS = frozenset(
    {
        FailureReason.HTTP2,
        FailureReason.LIMITED,
        FailureReason.MILVUS,
        FailureReason.NO_HEALTHY_ENDPOINT,
        FailureReason.TIMEOUT,
    }
)
"""Findings that more time can mend: the probes are shorter than a connect to a Milvus that starts, or is far away."""

OnStep = Callable[[Step], None]


async def verify(target: Target, *, on_step: OnStep | None = None, timeout: float = DEFAULT_TIMEOUT) -> VerifyReport:
    """Verify a Milvus behind a balancer with the guide's steps.

    The run's collection is dropped however the run ends, cancellation included.

    Args:
        target: the address and credentials.
        on_step: called after each step, in this event loop's thread.
        timeout: seconds for everything.

    Raises:
        SdkMissingError: PyMilvus is not installed.
        TrustFileError: a certificate or key file cannot be used.
    """
    if target.tls is not None:
        target.tls.context()
    started = time.monotonic()
    # The probes take as long as the import, unless a server accepts connections and never answers.
    pymilvus, found = await asyncio.gather(
        in_daemon_thread(load_pymilvus, name="import-pymilvus"), _look(target, min(PROBE_LIMIT, timeout * _RESERVE))
    )
    run = _Run(pymilvus, target, on_step or (lambda _: None), started + timeout * (1 - _RESERVE))
    run.session.connect_answered = found is None and not behind_proxy()
    if found is not None and found.reason not in _MAY_PASS:
        # The report has PyMilvus's own error, but the user should not wait long for it.
        run.session.connect_limit = _HOPELESS_LIMIT
    # It imports gRPC, which must not be before `load_pymilvus`.
    from kiteway.milvus.verify.calls import Recorder, differences

    recorder = Recorder()
    with quiet(), recorder.recording():
        try:
            failure = await run.steps()
        finally:
            await run.clean_up(timeout * _RESERVE)
        if isinstance(failure, TimeoutError):
            failure = run.late_error() or failure
        left = started + timeout - time.monotonic()
        explained: Failure | None = None
        if failure is not None:
            step = run.done[-1].name
            known = found if step.startswith("connect") else None
            explained = await diagnose(target, step, failure, timeout=max(left, 1.0), found=known)
    calls = recorder.seen()
    return VerifyReport(
        verified=explained is None,
        address=str(target.endpoint),
        server_name=target.name,
        steps=tuple(run.done),
        versions=Versions(str(pymilvus.__version__), run.session.milvus_version),
        calls=calls,
        differences=differences(run.session.milvus_version, calls) if any(call.worked for call in calls) else (),
        failure=explained,
        leftover=run.session.collection if run.session.may_exist else None,
    )


async def _look(target: Target, limit: float) -> Failure | None:
    return None if behind_proxy() else await probe_layers(target, limit=limit)


class _Run:
    """The session in its thread, one call at a time."""

    def __init__(self, pymilvus: Any, target: Target, on_step: OnStep, deadline: float) -> None:
        self.session = Session(pymilvus, target)
        self.done: list[Step] = []
        self._on_step = on_step
        self._deadline = deadline
        self._under_way: asyncio.Task[str] | None = None

    async def steps(self) -> Exception | None:
        """Run the steps; the error of the first that fails."""
        for name, call in self.session.steps:
            started = time.monotonic()
            error: Exception | None = None
            try:
                detail = await self._call(name, call)
            except Exception as caught:  # noqa: BLE001 - whatever PyMilvus raises is explained
                error, detail = caught, text(caught)[:_DETAIL]
            step = Step(name, error is None, round(time.monotonic() - started, 3), detail)
            self.done.append(step)
            self._on_step(step)
            if error is not None:
                return error
        return None

    async def _call(self, name: str, call: Callable[[float], str]) -> str:
        left = self._deadline - time.monotonic()
        if left <= 0:
            msg = "no time was left for this step"
            raise TimeoutError(msg)
        given = max(left - _OVERSHOOT, left / 2)
        self._under_way = asyncio.ensure_future(in_daemon_thread(lambda: call(given), name=f"verify-{name}"))
        # The error of an abandoned call is ignored.
        self._under_way.add_done_callback(lambda task: task.cancelled() or task.exception())
        async with asyncio.timeout(left):
            # Shielded: a call that was sent cannot be taken back, so clean_up waits for it.
            return await asyncio.shield(self._under_way)

    async def clean_up(self, limit: float) -> None:
        """Drop the collection if it may exist and close the connections, within ``limit``."""
        grace = min(_GRACE, limit / 2)
        if self._under_way is not None and not self._under_way.done():
            await asyncio.wait({self._under_way}, timeout=grace)
        if self.session.may_exist:
            await self._quietly(lambda: self.session.drop(grace), grace)
        await self._quietly(self.session.close, grace)

    def late_error(self) -> Exception | None:
        """Return the gRPC error with which an abandoned step has ended since; it says more than that time ran out."""
        step = self._under_way
        error = step.exception() if step is not None and step.done() and not step.cancelled() else None
        return error if isinstance(error, Exception) and grpc_status(error) is not None else None

    async def _quietly(self, call: Callable[[], object], limit: float) -> None:
        # A failed clean-up is in the report (leftover) and must not hide the failure of the step.
        with contextlib.suppress(Exception):
            async with asyncio.timeout(limit):
                await in_daemon_thread(call, name="verify-clean-up")
