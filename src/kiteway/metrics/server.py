"""The endpoint that is scraped, and that a kubelet probes."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import AsyncIterator

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from kiteway.envoy.admin import AdminClient, AdminError
from kiteway.envoy.statistics import SHOWN
from kiteway.metrics.controlplane import ControlPlaneMetrics
from kiteway.metrics.envoy import labelled
from kiteway.status.server import Ready, serving

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def application(metrics: ControlPlaneMetrics, admin: AdminClient, ready: Ready) -> Starlette:
    """Return the API: ``/metrics``; ``/ready`` (200, or 503 with the reason) and ``/live`` for probes."""

    async def get_metrics(_: Request) -> Response:
        return StreamingResponse(_pieces(metrics, admin), headers={"content-type": CONTENT_TYPE})

    async def get_ready(_: Request) -> Response:
        reason = await ready()
        return PlainTextResponse("not ready" if reason else "ready", status_code=503 if reason else 200)

    async def get_live(_: Request) -> Response:
        return PlainTextResponse("live")

    return Starlette(
        routes=[Route("/metrics", get_metrics), Route("/ready", get_ready), Route("/live", get_live)],
    )


async def _pieces(metrics: ControlPlaneMetrics, admin: AdminClient) -> AsyncIterator[bytes]:
    yield metrics.text()
    # Without Envoy the control plane's own are what tells that it is gone.
    with contextlib.suppress(AdminError):
        async for line in labelled(admin.prometheus(f"^(?:{SHOWN})$"), metrics.pools()):
            yield line


@contextlib.asynccontextmanager
async def scraped(address: str | None, app: Starlette) -> AsyncIterator[None]:
    """
    Serve ``app`` on ``address`` (``HOST:PORT``); None serves nothing.

    Raises:
        OSError: the address cannot be bound.
    """
    if address is None:
        yield
        return
    host, _, port = address.rpartition(":")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # A successor serves beside its predecessor for a while; strangers are looked for before (`kiteway.ports`).
    listener = socket.create_server((host.strip("[]"), int(port)), family=family, reuse_port=True)
    try:
        async with serving(listener, app):
            yield
    finally:
        listener.close()
