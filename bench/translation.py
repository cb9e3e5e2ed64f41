"""
The control plane's cost of a change, from objects to xDS bytes.

There are 1,000 Ingresses, 1,000 Services and 10,000 endpoints. Nothing is sent to Envoy, and no API server is involved;
`bench.kubernetes` measures that.
"""

from __future__ import annotations

import datetime as dt
import gc
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from bench.outcome import BenchError, Context, Outcome, Table
from kiteway.certificates.create import create_self_signed
from kiteway.diagnostics import ObjectRef
from kiteway.envoy.settings import EnvoySettings
from kiteway.pipeline.pipeline import Outcome as Round
from kiteway.pipeline.pipeline import Pipeline
from kiteway.quarantine.quarantine import Quarantine
from kiteway.resources import EndpointSlice, Object, load_object
from kiteway.sources.files import SourceContent
from kiteway.translate import Options
from kiteway.translate.shared.limits import NamespaceLimits
from tests.support.manifests import Manifest, backend_config, endpoint_slice, ingress, path, rule, secret, service

SIZES = (100, 1000)
"""Ingresses, and as many Services and Secrets; the first shows what grows with the second."""

ENDPOINTS = 10
"""Endpoints of each Service."""

_PAIRS = 20
"""Certificates: many Secrets hold the same one, so that making them is not what takes the time."""

_LIMITS = NamespaceLimits(hosts=SIZES[-1], paths=2 * SIZES[-1])
"""All objects are in one namespace, which may have fewer hosts by default; those above the limit would not be translated."""

_MIB = 1 << 20

_TEXT = (
    "CPU time of the control plane from typed objects to serialised xDS, versions included: the median of {rounds} "
    "changes (of three first rounds), {endpoints} endpoints to a Service, one host and one certificate to an Ingress. An "
    "endpoint's change runs no translation. A change of an Ingress is translated, built and serialised alone; what grows "
    "with the number of objects is looking whether each is the one of last time."
)


@dataclass
class _World:
    """A pipeline and the objects it is given."""

    size: int
    objects: dict[ObjectRef, Object] = field(default_factory=dict)
    pipeline: Pipeline = field(default_factory=lambda: Pipeline(EnvoySettings()))
    options: Options = field(default_factory=lambda: Options(namespace_limits=_LIMITS))

    def put(self, manifest: Manifest) -> Object:
        [found] = load_object(dict(manifest)).objects
        self.objects[found.ref] = found
        return found

    def round(self) -> Round:
        now = dt.datetime.now(dt.UTC)
        outcome = self.pipeline.run(SourceContent(tuple(self.objects.values()), (), ()), {}, now, self.options)
        self.pipeline.judge(Quarantine.accept, now)
        return outcome


async def run(context: Context) -> Outcome:
    """Measure each kind of change at each size."""
    figures = {size: _measure(context, size) for size in SIZES}
    return Outcome(
        title="Translation",
        text=[_TEXT.format(rounds=context.rounds, endpoints=ENDPOINTS)],
        tables=[_table(figures)],
        charts=(),
        data={str(size): dict(found) for size, found in figures.items()},
    )


def _measure(context: Context, size: int) -> dict[str, float]:
    context.say(f"translating {size} Ingresses")
    full, memory = [], 0.0
    world = _filled(size)
    for _ in range(3):
        before = _resident()
        world.pipeline = Pipeline(EnvoySettings())
        full.append(_cpu(world.round))
        memory = max(memory, (_resident() - before) / _MIB)
    if len(world.round().model.hosts) != size:
        raise BenchError("not every Ingress is served, so that the figures are of fewer")
    found = {"full": statistics.median(full), "memory_mib": memory}
    found["nothing"] = statistics.median(_cpu(world.round) for _ in range(context.rounds))
    found["endpoint"] = statistics.median(_endpoint(world, turn) for turn in range(context.rounds))
    found["ingress"] = statistics.median(_ingress(world, turn) for turn in range(context.rounds))
    return found


def _filled(size: int) -> _World:
    world = _World(size)
    pairs = [create_self_signed([f"*.bench-{number}.example.com"]) for number in range(_PAIRS)]
    check = {"type": "HTTP", "port": 9091, "requestPath": "/healthz"}
    world.put(backend_config(timeoutSec=3600, healthCheck=check))
    for number in range(size):
        name = f"milvus-{number}"
        world.put(ingress(rule(_host(number), path("/", name)), name=name, tls=[name]))
        world.put(service(name, protocol="HTTP2", rest_port=8080, backend_config="milvus"))
        world.put(secret(name, pairs[number % _PAIRS]))
        world.put(endpoint_slice(_addresses(number, 0), 19530, name))
    return world


def _host(number: int) -> str:
    return f"milvus-{number}.bench-{number % _PAIRS}.example.com"


def _addresses(number: int, turn: int) -> list[str]:
    first = [f"10.{number // 250}.{number % 250}.{each + 1}" for each in range(ENDPOINTS - 1)]
    return [*first, f"10.{number // 250}.{number % 250}.{100 + turn % 100}"]


def _endpoint(world: _World, turn: int) -> float:
    """Change one endpoint of one Service."""
    number = turn * 7 % world.size
    slice_ = world.put(endpoint_slice(_addresses(number, turn + 1), 19530, f"milvus-{number}"))
    if not isinstance(slice_, EndpointSlice):
        raise BenchError("the EndpointSlice was not read as one")
    return _cpu(lambda: world.pipeline.run_slices((), (slice_,), dt.datetime.now(dt.UTC)))


def _ingress(world: _World, turn: int) -> float:
    """Add a path to one Ingress."""
    number = turn * 7 % world.size
    name = f"milvus-{number}"
    paths = (path("/", name), path(f"/turn-{turn}", name))
    world.put(ingress(rule(_host(number), *paths), name=name, tls=[name]))
    return _cpu(world.round)


def _cpu(work: Callable[[], object]) -> float:
    """Return the milliseconds of CPU time that ``work`` takes."""
    gc.collect()
    began = time.process_time()
    if work() is None:
        raise BenchError("there was no round before")
    return (time.process_time() - began) * 1000


def _resident() -> int:
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def _table(figures: dict[int, dict[str, float]]) -> Table:
    names = {
        "full": "all objects, ms",
        "nothing": "a round in which nothing changed, ms",
        "ingress": "one Ingress, ms",
        "endpoint": "one endpoint, ms",
        "memory_mib": "memory, MiB",
    }
    return Table(
        title="CPU time of a round",
        header=("", *(f"{size:,} Ingresses, {size * ENDPOINTS:,} endpoints" for size in figures)),
        rows=[(label, *(f"{found[name]:,.1f}" for found in figures.values())) for name, label in names.items()],
    )
