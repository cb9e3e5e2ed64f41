"""
The time from the replacement of an EndpointSlice's file until Envoy has the endpoint.

`kiteway up -f` follows a folder with one Service, then one with a thousand. The endpoints do not exist, so nothing but
the path of the change is measured. The clock starts when the rename returns and stops when Envoy's own dump shows the
address.
"""

from __future__ import annotations

import asyncio
import dataclasses
import shutil
import tempfile
import time
from pathlib import Path

import httpx2

from bench.outcome import BenchError, Context, Outcome, Table
from bench.stats import quantile
from kiteway.envoy.admin import AdminClient, AdminError
from kiteway.files import write_atomic
from kiteway.instance import Instance
from tests.support.kiteway import KITEWAY
from tests.support.manifests import PORT, backend_config, endpoint_slice, ingress, path, rule, service, text

SIZES = (1, 1000)
"""Services, each with an Ingress and an EndpointSlice, a file for each Service and one for each slice."""

_START_SECONDS = 300.0
_CHANGE_SECONDS = 30.0
_POLL_SECONDS = 0.005
_PAUSE_SECONDS = 0.3
"""Between two changes: each is alone."""
_PORT = 8443
_TITLE = "From file to Envoy"
_TEXT = (
    "Seconds from the replacement of an EndpointSlice's file under `kiteway up -f` to Envoy's having the endpoint, "
    "{rounds} changes of one file, one at a time."
)


@dataclasses.dataclass(frozen=True)
class _Found:
    seconds: tuple[float, ...]

    def at(self, fraction: float) -> str:
        return f"{quantile(self.seconds, fraction) * 1000:.0f} ms"


async def run(context: Context) -> Outcome:
    """Measure a small and a large folder."""
    rounds = max(100, context.rounds)
    found = {size: await _measure(context, size, rounds) for size in SIZES}
    header = ("", *(f"{size:,} Service{'s' if size > 1 else ''}" for size in found))
    rows = [
        ("median", *(each.at(0.5) for each in found.values())),
        ("99th percentile", *(each.at(0.99) for each in found.values())),
    ]
    data = {str(size): {"seconds": list(each.seconds)} for size, each in found.items()}
    return Outcome(_TITLE, (_TEXT.format(rounds=rounds),), (Table(_TITLE, header, rows),), (), data)


async def _measure(context: Context, size: int, rounds: int) -> _Found:
    context.say(f"following a folder with {size} Services")
    # A folder with a short name: sockets are in it.
    work = Path(tempfile.mkdtemp(prefix="kw-"))
    try:
        folder = work / "manifests"
        _fill(folder, size)
        instance = Instance(work / "kw")
        command = [KITEWAY, "up", "-f", folder, "--data-dir", work / "kw", "--https-port", _PORT, "--http-port", 0]
        with (work / "kiteway.log").open("wb") as log:
            process = await asyncio.create_subprocess_exec(*map(str, command), "--drain", "0", stdout=log, stderr=log)
        try:
            await _until_active(instance, size)
            return _Found(tuple([await _change(instance, folder, turn) for turn in range(rounds)]))
        finally:
            process.terminate()
            await process.wait()
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _fill(folder: Path, size: int) -> None:
    folder.mkdir()
    # The rarest check that GKE allows, so that checking costs the measurement little.
    check = {"type": "HTTP", "port": 9091, "requestPath": "/healthz", "checkIntervalSec": 300, "timeoutSec": 1}
    (folder / "backend-config.yaml").write_bytes(text([backend_config(healthCheck=check)]))
    for number in range(size):
        name = f"milvus-{number}"
        manifests = [
            ingress(rule(f"{name}.example.com", path("/", name)), name=name),
            service(name, protocol="HTTP2", backend_config="milvus"),
        ]
        (folder / f"{name}.yaml").write_bytes(text(manifests))
        _put_slice(folder, number, f"10.0.{number // 250}.{number % 250 + 1}")


def _put_slice(folder: Path, number: int, address: str) -> None:
    name = f"milvus-{number}"
    write_atomic(folder / f"{name}-slice.yaml", text([endpoint_slice([address], PORT, name)]), 0o644)


async def _until_active(instance: Instance, size: int) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        await asyncio.sleep(0.1)
        try:
            async with AdminClient(instance.admin_socket) as admin:
                active = await admin.stats(r"^cluster_manager.active_clusters$")
                # Every Service has a cluster, beside the control plane's own.
                if active and next(iter(active.values())) > size and await admin.ready():
                    return
        except AdminError:
            continue
    raise BenchError(f"Envoy did not run everything within {_START_SECONDS:g} s")


async def _change(instance: Instance, folder: Path, turn: int) -> float:
    """Give the first Service another endpoint; return the seconds until Envoy has it."""
    await asyncio.sleep(_PAUSE_SECONDS)
    address = f"10.1.{turn // 250}.{turn % 250 + 1}"
    transport = httpx2.AsyncHTTPTransport(uds=str(instance.admin_socket))
    async with httpx2.AsyncClient(transport=transport, base_url="http://envoy") as admin:
        _put_slice(folder, 0, address)
        began = time.monotonic()
        while time.monotonic() < began + _CHANGE_SECONDS:
            answer = await admin.get("/config_dump", params=_DUMP)
            if f'"{address}"' in answer.text:
                return time.monotonic() - began
            await asyncio.sleep(_POLL_SECONDS)
    raise BenchError(f"{address} did not come to Envoy within {_CHANGE_SECONDS:g} s")


_DUMP = {
    "resource": "dynamic_endpoint_configs",
    "include_eds": "",
    "name_regex": f"pool/default/milvus-0/{PORT}/grpc",
}
