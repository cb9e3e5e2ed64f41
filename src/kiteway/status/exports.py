"""
Watches the export of traces and logs to a collector: whether exports are lost now, and why.

Envoy only counts, so the newest outcome is in the difference between two looks at its counters.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
from collections.abc import Mapping
from typing import Final

from kiteway.envoy.admin import AdminClient, AdminError
from kiteway.envoy.otlp import CLUSTER, OtlpSettings
from kiteway.envoy.statistics import EXPORTS
from kiteway.report.exports import ExportReport

LOOK_SECONDS: Final = 5.0
"""Seconds between two looks."""

_PREFIX = f"cluster.{CLUSTER}."
_ACCEPTED = ("upstream_rq_2xx",)
_FAILED = ("upstream_rq_3xx", "upstream_rq_4xx", "upstream_rq_5xx")
_WHY = (
    (("ssl.fail_verify_error", "ssl.fail_verify_san"), "its certificate is not trusted; --otlp-ca names the CA"),
    (("ssl.connection_error",), "the TLS handshake with it fails"),
    (("upstream_cx_none_healthy",), "its name cannot be resolved"),
    (("upstream_cx_connect_fail",), "no connection to it can be made"),
    (("upstream_rq_timeout",), "it does not answer in time"),
    (("upstream_rq_4xx",), "it refuses exports (HTTP 4xx); look at its path, and at the token of --otlp-token-file"),
    (("upstream_rq_3xx",), "it redirects exports (HTTP 3xx), which Envoy does not follow"),
    (("upstream_rq_5xx",), "it fails to take exports (HTTP 5xx)"),
)
"""Counters and what their growth means; Envoy counts an export without an answer as 5xx too, so that is last."""


class ExportWatch:
    """The outcomes of exports so far."""

    def __init__(self, admin: AdminClient, otlp: OtlpSettings | None) -> None:
        """Begin without a history; ``otlp`` is None if nothing is exported."""
        self._admin = admin
        self._otlp = otlp
        self._seen: Mapping[str, int] | None = None
        self._problem = ""
        self._since: dt.datetime | None = None

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            with contextlib.suppress(AdminError):
                await self.look()
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self) -> None:
        """Ask Envoy, if anything is exported. Raises ``AdminError``."""
        if self._otlp is not None:
            self.take(await self._admin.stats(f"^{EXPORTS}$"), dt.datetime.now(dt.UTC))

    def take(self, stats: Mapping[str, int], now: dt.datetime) -> None:
        """Take Envoy's counters at ``now``."""
        counters = {name.removeprefix(_PREFIX): count for name, count in stats.items()}
        before = self._seen or {}
        if any(counters.get(name, 0) < count for name, count in before.items()):
            before = {}  # Envoy has started again.
        grown = {name for name, count in counters.items() if count > before.get(name, 0)}
        first = self._seen is None
        self._seen = counters
        if grown.intersection(_ACCEPTED):
            self._problem, self._since = "", None
        elif grown.intersection(_FAILED):
            if not self._problem:
                self._since = None if first else now
            self._problem = next(text for names, text in _WHY if grown.intersection(names))

    def report(self) -> ExportReport | None:
        """Return what `kiteway status` shows; None if nothing is exported."""
        if self._otlp is None:
            return None
        seen = self._seen or {}
        return ExportReport(
            endpoint=self._otlp.url,
            sampling_percent=self._otlp.sampling,
            logs=self._otlp.logs,
            accepted=sum(seen.get(name, 0) for name in _ACCEPTED),
            failed=sum(seen.get(name, 0) for name in _FAILED),
            problem=self._problem,
            since=self._since,
        )
