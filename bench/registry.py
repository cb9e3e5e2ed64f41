"""All benches, in the order in which they run."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from bench import burst, cache, dashboard, fairness, files, instructions, kubernetes, passthrough, tracing, translation
from bench.outcome import Context, Outcome


@dataclass(frozen=True)
class Bench:
    """A bench: its name on the command line and in the results, and what runs it."""

    name: str
    summary: str
    run: Callable[[Context], Awaitable[Outcome]]


BENCHES = (
    Bench("passthrough", "the cost of a call: balancers compared in front of one Milvus", passthrough.run),
    Bench("instructions", "the cost of a call in instructions of Envoy", instructions.run),
    Bench("tracing", "the cost of a call of which a share is traced", tracing.run),
    Bench("dashboard", "the cost of the web page at 1,000 calls a second", dashboard.run),
    Bench(
        "translation",
        "the control plane's cost of a change, with 1,000 Ingresses and 10,000 endpoints",
        translation.run,
    ),
    Bench("fairness", "single searches beside a flood of heavy ones, with and without admission", fairness.run),
    Bench("burst", "a burst of five times the capacity, with each kind of admission", burst.run),
    Bench("cache", "the cache: hits, Zipf-distributed reads, equal reads at once, many keys", cache.run),
    Bench("files", "the time from a change of a file to Envoy, with one Service and with 1,000", files.run),
    Bench("kubernetes", "1,000 Ingresses and 10,000 endpoints on a real API server", kubernetes.run),
)
