"""Endpoints that accept connections and never answer: other tenants must not wait for their health."""

from __future__ import annotations

import socket

from tests.attack.attack import Attack, Seen, trial
from tests.attack.tenant import ATTACKER, BAIT, SERVICE, ingress, merged, tls_secret
from tests.attack.world import world
from tests.support import manifests
from tests.support.certificates import issue
from tests.support.manifests import Manifest

_SECONDS = 300
"""The longest a health check may wait."""


def _hanging(port: int) -> list[Manifest]:
    check = {"type": "HTTP", "requestPath": "/healthz", "port": port}
    check = merged(check, {"checkIntervalSec": _SECONDS, "timeoutSec": _SECONDS})
    return [
        manifests.service(SERVICE, ATTACKER, backend_config=SERVICE),
        manifests.endpoint_slice(["127.0.0.1"], port, SERVICE, ATTACKER),
        manifests.backend_config(SERVICE, ATTACKER, healthCheck=check),
        ingress(ATTACKER, [f"a.{BAIT}"], tls=["tls"]),
        tls_secret("tls", ATTACKER, issue(f"a.{BAIT}")),
    ]


def _hung_health_check() -> Seen:
    with socket.create_server(("127.0.0.1", 0), backlog=64) as silent, world() as found:
        return trial(found, _hanging(silent.getsockname()[1]), must_refuse=False)


def _hung_from_the_start() -> Seen:
    with socket.create_server(("127.0.0.1", 0), backlog=64) as silent:
        objects = _hanging(silent.getsockname()[1])
        with world(first=lambda _: objects) as found:
            return trial(found, objects, must_refuse=False)


ATTACKS = (
    Attack("B", f"a health check that hangs for {_SECONDS} s", _hung_health_check),
    Attack("B", "the same, before the first start", _hung_from_the_start),
)
