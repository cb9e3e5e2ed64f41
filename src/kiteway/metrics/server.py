"""The HTTP server for scrapes and for a kubelet's probes."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from kiteway.envoy.admin import AdminClient, AdminError
from kiteway.envoy.calls import CallsClient, CallsError
from kiteway.envoy.statistics import SHOWN
from kiteway.metrics.cache import cache_text
from kiteway.metrics.calls import calls_text
from kiteway.metrics.controlplane import ControlPlaneMetrics
from kiteway.metrics.envoy import labelled
from kiteway.metrics.probes import LIVE, Probes
from kiteway.status.limits import Limits
from kiteway.status.server import TLS, Answer, serving

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SCRAPES = 4
_LIMITS = Limits()


def application(metrics: ControlPlaneMetrics, admin: AdminClient, calls: CallsClient, probes: Probes) -> Starlette:
    """
    Return the API: ``/metrics``; ``/ready`` (200, or 503) and ``/live`` for clients that ask otherwise than `Probes` expects.

    A scrape costs CPU in Envoy and here: more than `_SCRAPES` at the same time are answered with 503.
    """
    slots = asyncio.Semaphore(_SCRAPES)

    async def get_metrics(_: Request) -> Response:
        if slots.locked():
            return PlainTextResponse("too many scrapes at a time", status_code=503, headers={"retry-after": "1"})
        await slots.acquire()
        return _Scrape(_pieces(metrics, admin, calls), slots)

    async def get_ready(_: Request) -> Response:
        status, text = await probes.ready()
        return PlainTextResponse(text, status_code=status)

    async def get_live(_: Request) -> Response:
        status, text = LIVE
        return PlainTextResponse(text, status_code=status)

    return Starlette(
        routes=[Route("/metrics", get_metrics), Route("/ready", get_ready), Route("/live", get_live)],
    )


class _Scrape(StreamingResponse):
    def __init__(self, pieces: AsyncIterator[bytes], slots: asyncio.Semaphore) -> None:
        super().__init__(pieces, headers={"content-type": CONTENT_TYPE})
        self._slots = slots

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._slots.release()


async def _pieces(metrics: ControlPlaneMetrics, admin: AdminClient, calls: CallsClient) -> AsyncIterator[bytes]:
    yield metrics.text()
    # Without Envoy the page has only the metrics of the control plane.
    with contextlib.suppress(AdminError):
        async for line in labelled(admin.prometheus(f"^(?:{SHOWN})$"), metrics.pools()):
            yield line
    with contextlib.suppress(CallsError):
        # Thousands of series take a second, in which the control plane has other things to do.
        counted = await calls.read()
        yield await asyncio.to_thread(calls_text, counted)
        yield await asyncio.to_thread(cache_text, counted.cache)


@contextlib.asynccontextmanager
async def scraped(
    address: str | None,
    app: ASGIApp,
    limits: Limits = _LIMITS,
    tls: TLS | None = None,
    answer: Answer | None = None,
) -> AsyncIterator[None]:
    """
    Serve on ``address`` (``HOST:PORT``), as `serving` does; no address serves nothing.

    Raises:
        OSError: the address cannot be bound.
    """
    if address is None:
        yield
        return
    host, _, port = address.rpartition(":")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # A successor and its predecessor serve at the same time; `kiteway.ports` has checked for other programs.
    listener = socket.create_server((host.strip("[]"), int(port)), family=family, reuse_port=True)
    try:
        async with serving(listener, app, limits, tls, answer):
            yield
    finally:
        listener.close()
