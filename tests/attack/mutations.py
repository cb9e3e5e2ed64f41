"""A property: after any mutation of a tenant's objects, no rejection lasts and the victim is served."""

from __future__ import annotations

import json
import logging
import random
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog

from kiteway.envoy.ads import AdsState
from tests.attack.attack import Attack, Seen
from tests.attack.calls import Calls, answered
from tests.attack.inside import Inside, inside
from tests.attack.mutate import Mutation, mutate
from tests.attack.prey import prey
from tests.attack.tenant import DOMAIN, VICTIM, ingress, tenant, tls_secret
from tests.e2e.traffic import Backend
from tests.support.certificates import authority, issue
from tests.support.kiteway import wait_until
from tests.support.manifests import Manifest
from tests.support.ports import lasting_port

COUNT = 10_000
QUARANTINED = "RejectedByEnvoy"
"""The code of the diagnostic about an object that only Envoy refuses."""

_TENANTS = 250
"""Tenants at a time, all of them with mutations; most with one, so that the rest of them reaches Envoy."""
_RESTART_EVERY = 8
_SETTLED_SECONDS = 60.0
_HOST = f"a.{DOMAIN}"


@dataclass
class Found:
    """
    What was found in a run.

    Attributes:
        tenants, mutations: how many there were.
        served: how many tenants had a host that Envoy served.
        codes: how often each diagnostic was given about them.
        quarantined: what only Envoy refused: a rule to add for each.
        broken: what must not happen and did.
    """

    tenants: int = 0
    mutations: int = 0
    served: int = 0
    codes: Counter[str] = field(default_factory=Counter)
    quarantined: list[dict[str, Any]] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)


def attack(seed: int, count: int = COUNT, kept: Path | None = None) -> Attack:
    """Return it as one of the attacks; what only Envoy refused is written to the file ``kept``."""

    def run() -> Seen:
        found = search(seed, count)
        if kept is not None:
            kept.parent.mkdir(exist_ok=True)
            kept.write_text(json.dumps({"seed": seed, "quarantined": found.quarantined}, indent=2) + "\n")
        seen = Seen(broken=found.broken)
        seen.refused = (
            f"{len(found.codes)} codes; {found.served} of {found.tenants} tenants served; "
            f"{len(found.quarantined)} in quarantine"
        )
        return seen

    return Attack("A, B", f"{count:,} random mutations (seed {seed})", run)


def search(seed: int, count: int) -> Found:
    """Mutate ``count`` times, beside a victim whose calls are made all the time."""
    # Thousands of diagnostics are logged otherwise, to the terminal here.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    folder = Path(tempfile.mkdtemp(prefix="kw-"))
    try:
        with Backend() as backend, inside(folder, lasting_port) as system:
            return _Search(system, backend, random.Random(seed)).run(count)
    finally:
        structlog.reset_defaults()
        shutil.rmtree(folder, ignore_errors=True)


class _Search:
    def __init__(self, system: Inside, backend: Backend, chance: random.Random) -> None:
        self._system = system
        self._backend = backend
        self._chance = chance
        self._authority = authority()
        self._found = Found()
        self._names: Iterator[int] = iter(range(1 << 30))

    def run(self, count: int) -> Found:
        found, before = self._found, list[str]()
        self._put({})
        self._settle("the victim alone")
        with Calls(self._system.settings.https_port, _HOST, self._authority.crt) as calls:
            for batch in range(1 << 30):
                if found.mutations >= count or found.broken:
                    break
                tenants, mutations = self._mutants(count - found.mutations)
                self._put({**{name: [] for name in before}, **tenants})
                before = list(tenants)
                self._judge(mutations, f"batch {batch}")
                if batch % _RESTART_EVERY == _RESTART_EVERY - 1 and not found.broken:
                    with calls.interrupted():
                        self._restart(f"a restart of Envoy after batch {batch}")
        if calls.failures:
            found.broken.append(f"calls of the victim failed: {dict(calls.failures.most_common(3))}")
        if not calls.ok:
            found.broken.append("no call of the victim was answered, so nothing was shown")
        return found

    def _mutants(self, most: int) -> tuple[dict[str, list[Manifest]], dict[str, list[Mutation]]]:
        tenants: dict[str, list[Manifest]] = {}
        mutations: dict[str, list[Mutation]] = {}
        while len(tenants) < _TENANTS and sum(map(len, mutations.values())) < most:
            number = next(self._names)
            objects = prey(number, self._backend, self._chance)
            [times] = self._chance.choices((1, 2, 3), (4, 4, 2))
            mutations[f"m{number}"] = [mutate(objects, self._chance) for _ in range(times)]
            tenants[f"m{number}"] = list(objects)
        return tenants, mutations

    def _put(self, tenants: dict[str, list[Manifest]]) -> None:
        """Apply the objects of tenants, and a change of the victim with them."""
        self._newest = f"n{next(self._names)}.{DOMAIN}"
        hosts = [_HOST, self._newest]
        victim = [
            # Its backend shares this process with the control plane, which is busy for seconds at a time.
            *tenant(VICTIM, self._backend, {"healthCheck": {"checkIntervalSec": 60, "timeoutSec": 60}}),
            ingress(VICTIM, hosts, tls=["tls"]),
            tls_secret("tls", VICTIM, issue(*hosts, issuer=self._authority)),
        ]
        self._before = self._system.outcome
        self._system.put({**tenants, VICTIM: victim})

    def _judge(self, mutations: dict[str, list[Mutation]], what: str) -> None:
        found = self._found
        found.tenants += len(mutations)
        found.mutations += sum(map(len, mutations.values()))
        self._settle(what)
        outcome = self._system.outcome
        assert outcome is not None
        found.served += len({host.source.namespace for host in outcome.model.hosts} & mutations.keys())
        for diagnostic in outcome.diagnostics:
            namespace = diagnostic.object.namespace if diagnostic.object else ""
            if namespace in mutations:
                found.codes[diagnostic.reason] += 1
                if diagnostic.reason == QUARANTINED:
                    done = [str(mutation) for mutation in mutations[namespace]]
                    found.quarantined.append({"mutations": done, "message": diagnostic.message})

    def _settle(self, what: str) -> None:
        """Wait until Envoy runs what it was given, and nothing is rejected that is not in quarantine."""
        try:
            wait_until(lambda: self._settled(self._system.ads), "Envoy runs it", _SETTLED_SECONDS)
        except AssertionError:
            streams = self._system.ads.streams[-1:]
            said = [refusal.rejection.message[:300] for stream in streams for refusal in stream.refusals]
            self._found.broken.append(
                f"{what}: not settled within {_SETTLED_SECONDS:g} s; rejected: {said or 'nothing'}"
            )
            return
        for host in (_HOST, self._newest):
            self._check(host, what)

    def _settled(self, state: AdsState) -> bool:
        outcome = self._system.outcome
        if outcome is None or outcome is self._before or not state.streams:
            return False
        newest = state.streams[-1]
        return state.version == outcome.snapshot.version and newest.converged and not newest.refusals

    def _restart(self, what: str) -> None:
        """Kill Envoy; the configuration that the next one gets is one that it accepts."""
        rejected = len(self._system.ads.rejections)
        self._system.kill_envoy()
        self._system.start_envoy()
        self._check(_HOST, what)
        if len(self._system.ads.rejections) > rejected:
            self._found.broken.append(f"{what}: it rejected its first configuration")

    def _check(self, host: str, what: str) -> None:
        """Wait until a host of the victim is served; note it if it never is."""
        end = time.monotonic() + _SETTLED_SECONDS
        while not answered(self._system.settings.https_port, host, self._authority.crt):
            if time.monotonic() > end:
                self._found.broken.append(f"{what}: {host} is not served")
                return
            time.sleep(0.05)
