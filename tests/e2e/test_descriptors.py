"""More endpoints than Envoy can have connections to: it serves on, and the small namespace has all of its own."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from kiteway.envoy.descriptors import Descriptors
from tests.support.healthy import healthy
from tests.support.kiteway import up
from tests.support.manifests import backend_config, endpoint_slice, ingress, path, rule, service

_FILES = 1500
_MANY, _FEW = 400, 5
_LARGE = ("one", "other")


def _manifests(namespace: str, second: int, number: int, port: int) -> str:
    check = {"type": "HTTP", "checkIntervalSec": 1, "timeoutSec": 1, "port": port, "requestPath": "/healthz"}
    addresses = [f"127.{second}.{at // 250}.{at % 250 + 1}" for at in range(number)]
    objects = [
        backend_config("checked", namespace, healthCheck=check),
        ingress(rule(f"{namespace}.example.com", path(service="milvus")), name="milvus", namespace=namespace),
        service("milvus", namespace, backend_config="checked"),
        endpoint_slice(addresses, 19530, "milvus", namespace),
    ]
    return "\n---\n".join(map(json.dumps, objects))


def test_more_endpoints_than_envoy_can_hold(tmp_path: Path, free_port: Callable[[], int]) -> None:
    """Envoy would end with SIGSEGV when a health check gets no socket: each large namespace gets the same share."""
    room = Descriptors.of(_FILES)
    share = (room.endpoints - _FEW) // len(_LARGE)
    with healthy() as port:
        for second, (namespace, number) in enumerate(((_LARGE[0], _MANY), (_LARGE[1], _MANY), ("small", _FEW)), 1):
            (tmp_path / "manifests").mkdir(exist_ok=True)
            (tmp_path / "manifests" / f"{namespace}.yaml").write_text(_manifests(namespace, second, number, port))
        arguments = ["-f", str(tmp_path / "manifests"), "--drain", "0", "--http-port", str(free_port())]
        arguments += ["--https-port", str(free_port())]
        with up(arguments, tmp_path / "data", open_files=_FILES) as running:
            running.wait_healthy(len(_LARGE) * share + _FEW)
            status = running.report()
            said = [each["object"] for each in status["diagnostics"] if each["reason"] == "EndpointLimit"]
            assert {each["namespace"] for each in said} == set(_LARGE)
            used = {pool["name"].partition("/")[0]: len(pool["endpoints"]) for pool in status["pools"]}
            assert used == {**dict.fromkeys(_LARGE, share), "small": _FEW}
            assert running.child("envoy")[1] == 0
