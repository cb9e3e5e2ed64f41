"""The benches there are, in the order they run."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from bench import files, instructions, kubernetes, passthrough, translation
from bench.outcome import Context, Outcome


@dataclass(frozen=True)
class Bench:
    """A bench: its name on the command line and in the results, and what runs it."""

    name: str
    summary: str
    run: Callable[[Context], Awaitable[Outcome]]


BENCHES = (
    Bench("passthrough", "the cost of a call: balancers side by side before one Milvus", passthrough.run),
    Bench("instructions", "what of it is ours: instructions of Envoy for a call", instructions.run),
    Bench(
        "translation", "what a change of 1,000 Ingresses and 10,000 endpoints costs the control plane", translation.run
    ),
    Bench("files", "how long a change of a file takes to Envoy, with one Service and with 1,000", files.run),
    Bench("kubernetes", "1,000 Ingresses and 10,000 endpoints on a real API server", kubernetes.run),
)
