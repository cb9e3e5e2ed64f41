"""Much of what is good in itself: hosts, Ingresses, bytes and changes of one tenant."""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections.abc import Iterator, Sequence

from tests.attack.attack import Attack, Poison, Seen, judge, measure_calls, measure_live, trial
from tests.attack.rejected import attacker
from tests.attack.tenant import ATTACKER, BAIT, ingress, merged, tenant, tls_secret
from tests.attack.world import World, world
from tests.e2e.traffic import Backend
from tests.support.certificates import issue
from tests.support.manifests import Manifest, endpoint_slice, path, service
from tests.support.poison import ANNOTATION, unforeseen

_WILDCARDS = 100
_FALLBACK_PATHS = 400
_SERVICES = 500
"""More hosts than a namespace may have by default."""
_INGRESSES = 3000
_FILE_BYTES = 60 << 20
_CHANGES_A_SECOND = 20
_CHANGES = 5


def _wildcards(backend: Backend) -> list[Manifest]:
    paths = [path(f"/p{number}") for number in range(_FALLBACK_PATHS)]
    return [
        *tenant(ATTACKER, backend),
        tls_secret("tls", ATTACKER, issue(f"*.{BAIT}")),
        ingress(ATTACKER, [None], name="any", tls=["tls"], paths=paths),
        ingress(ATTACKER, [f"*.w{number}.{BAIT}" for number in range(_WILDCARDS)], name="wild", tls=["tls"]),
    ]


def _services(backend: Backend) -> list[Manifest]:
    """Return hosts that have nothing in common: a Service, and so a cluster, and an Ingress each."""
    found = [*tenant(ATTACKER, backend), tls_secret("tls", ATTACKER, issue(f"*.{BAIT}"))]
    for number in range(_SERVICES):
        name = f"s{number}"
        found += [service(name, ATTACKER), endpoint_slice(["127.0.0.1"], backend.port, name, ATTACKER)]
        found.append(
            ingress(ATTACKER, [f"{name}.{BAIT}"], name=name, tls=["tls"], paths=[path("/", name)]),
        )
    return found


def _ingresses(backend: Backend) -> list[Manifest]:
    return [
        *tenant(ATTACKER, backend),
        tls_secret("tls", ATTACKER, issue(f"*.{BAIT}")),
        *(ingress(ATTACKER, [f"i{n}.{BAIT}"], name=f"i{n}", tls=["tls"]) for n in range(_INGRESSES)),
    ]


def _large_file(_: Backend) -> list[Manifest]:
    """Return objects that are no part of load balancing, as many as one file may hold."""
    each = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"a": "v" * 1000}}
    return [each] * (_FILE_BYTES // 1100)


def _applied(name: str, objects: Poison, *, must_refuse: bool = True) -> Attack:
    def run() -> Seen:
        with world() as found:
            return trial(found, objects(found.backend), must_refuse=must_refuse)

    return Attack("B", name, run)


@contextlib.contextmanager
def _changing(found: World, forms: Sequence[Sequence[Manifest]]) -> Iterator[None]:
    """Write one of ``forms`` after the other, many times a second."""
    done = threading.Event()

    def write() -> None:
        for form in itertools.cycle(forms):
            if done.wait(1 / _CHANGES_A_SECOND):
                return
            found.write(ATTACKER, form)

    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _flapping(forms: Sequence[Sequence[Manifest]], found: World) -> Seen:
    """Change the victim while the attacker changes all the time, and kill Envoy."""
    with _changing(found, forms):
        changes = [found.change() for _ in range(_CHANGES)]
        seen = Seen(refused=", ".join(found.refusals(ATTACKER)[:2]))
        measure_live(seen, found)
        seen.envoy = found.kill("envoy")
        changes.append(found.change())
    seen.change = max(changes)
    measure_calls(seen, found)
    judge(seen)
    return seen


def _good_changes() -> Seen:
    with world() as found:
        hosts = [f"a.{BAIT}"], [f"b.{BAIT}"]
        return _flapping([attacker(found.backend, f"*.{BAIT}", hosts=names) for names in hosts], found)


def _bad_changes() -> Seen:
    """Change from one form that Envoy rejects to another one, so that each is looked at anew."""
    with unforeseen(), world(first=attacker) as found:
        return _flapping([_rejected(found.backend, form) for form in ("x", "y", "z")], found)


def _rejected(backend: Backend, form: str) -> list[Manifest]:
    note = {"metadata": {"annotations": {ANNOTATION: form}}}
    objects = attacker(backend, f"*.{BAIT}", hosts=[f"{form}.{BAIT}"])
    return [merged(each, note) if each["kind"] == "Ingress" else each for each in objects]


ATTACKS = (
    _applied(f"{_WILDCARDS} wildcards beside {_FALLBACK_PATHS} paths for any host", _wildcards, must_refuse=False),
    _applied(f"{_SERVICES} hosts with a Service each", _services),
    _applied(f"{_INGRESSES:,} Ingresses of one tenant", _ingresses),
    _applied("a file of 60 MiB", _large_file, must_refuse=False),
    Attack("B", f"an Ingress that changes {_CHANGES_A_SECOND} times a second", _good_changes),
    Attack("A", "the same, rejected by Envoy each time", _bad_changes),
)
