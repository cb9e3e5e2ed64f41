"""The result of the demo: the value of ``kiteway demo --output json``."""

from __future__ import annotations

from typing import Final

import msgspec

from kiteway.milvus.verify import VerifyReport
from kiteway.report.status import Status

SCHEMA_VERSION: Final = 1
"""It grows when a field is removed, renamed or changes its meaning or type; a field may be added without."""


class StepReport(msgspec.Struct, frozen=True):
    """
    A step of the demo or of its verification.

    Attributes:
        name: its name; those of the verification begin with `verify/`.
        ok: whether it succeeded.
        seconds: how long it took.
    """

    name: str
    ok: bool
    seconds: float


class FailureReport(msgspec.Struct, frozen=True):
    """
    Why the verification failed.

    Attributes:
        reason: a stable code.
        sentence: what went wrong.
        fix: what to do.
    """

    reason: str
    sentence: str
    fix: str


class SearchReport(msgspec.Struct, frozen=True):
    """
    A search.

    Attributes:
        outcome: the header `kiteway-cache` of its answer, such as `hit; age=0.8`.
        seconds: how long it took.
    """

    outcome: str
    seconds: float


class DemoReport(msgspec.Struct, rename="camel", kw_only=True):
    """
    The result of `kiteway demo`.

    Attributes:
        schema_version: the version of this document.
        verified: whether PyMilvus's calls through the balancer succeeded.
        steps: the steps, in order.
        requests_per_endpoint: the calls that each endpoint of Milvus got, by its address.
        searches: the same search twice: Milvus's answer, then that of the cache; empty if the cache was not shown.
        versions: the releases that took part: `kiteway`, and after the verification `pymilvus`, `milvus` and `envoy`.
        failure: why it is not verified; null when it is.
    """

    schema_version: int = SCHEMA_VERSION
    verified: bool = False
    steps: list[StepReport] = []
    requests_per_endpoint: dict[str, int] = {}
    searches: list[SearchReport] = []
    versions: dict[str, str] = {}
    failure: FailureReport | None = None

    def add_step(self, name: str, *, ok: bool, seconds: float) -> None:
        """Add a step; the time is shown in milliseconds."""
        self.steps.append(StepReport(name, ok, round(seconds, 3)))

    def complete(self, found: VerifyReport, status: Status) -> None:
        """Add the result of the verification, and what the balancer counted."""
        self.verified = found.verified
        for step in found.steps:
            self.add_step(f"verify/{step.name}", ok=step.ok, seconds=step.seconds)
        self.requests_per_endpoint = {each.address: each.calls for pool in status.pools for each in pool.endpoints}
        self.versions["pymilvus"] = found.versions.pymilvus
        self.versions["milvus"] = found.versions.milvus or ""
        self.versions["envoy"] = status.envoy.version
        if found.failure is not None:
            self.failure = FailureReport(str(found.failure.reason), found.failure.sentence, found.failure.fix)
