"""A proxy in front of Milvus Lite: a serving port with TLS and a health port, as each proxy of Milvus has them.

A program: `python -m kiteway.milvus.embedded.lite_proxy STORE_PORT PORT HEALTH_PORT [CERT KEY]`, all ports on loopback. It
forwards every unary call to Milvus Lite without reading it, and answers two questions itself, as Milvus's proxy does:
`grpc.health.v1.Health/Check` and `GET /healthz`. SIGTERM ends it when the calls in flight have ended, after 5 s at the
latest.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from concurrent.futures import TimeoutError as LateError
from contextlib import asynccontextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import grpc
import grpc.aio

from kiteway.milvus.embedded.ready import HEALTH_CHECK, LOOPBACK, SERVING

_NOT_SERVING = b"\x08\x02"
_GRACE_SECONDS = 5.0
_STORE_SECONDS = 1.0
_GET_VERSION = "/milvus.proto.milvus.MilvusService/GetVersion"

_SIZES = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
# The keepalive policy of Milvus's proxy (Milvus, internal/distributed/proxy/service.go): one ping in 5 s, also without calls.
_PINGS = [("grpc.http2.min_ping_interval_without_data_ms", 5000), ("grpc.keepalive_permit_without_calls", 1)]
# gRPC sets these itself.
_OWN_HEADERS = ("grpc-", ":", "user-agent", "content-type", "te")

Context = grpc.aio.ServicerContext[bytes, bytes]
Handler = Callable[[bytes, Context], Awaitable[bytes]]


class Proxy(grpc.GenericRpcHandler):
    """Forwards unary calls to the store as bytes."""

    def __init__(self, store: grpc.aio.Channel) -> None:
        self._store = store

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        """Return the handler of a method: every method has one."""
        method = str(handler_call_details.method)
        handler: Handler = self._health if method == HEALTH_CHECK else self._forward(method)
        return grpc.unary_unary_rpc_method_handler(handler)

    async def reachable(self) -> bool:
        """Ask the store for a sign of life."""
        try:
            await self._call(_GET_VERSION, b"", timeout=_STORE_SECONDS)
        except grpc.aio.AioRpcError as error:
            # Milvus Lite 2 has no GetVersion.
            return error.code() is grpc.StatusCode.UNIMPLEMENTED
        return True

    async def _call(self, method: str, request: bytes, **options: Any) -> bytes:
        call: Any = self._store.unary_unary(method)
        answer: bytes = await call(request, **options)
        return answer

    async def _health(self, _request: bytes, _context: Context) -> bytes:
        return SERVING if await self.reachable() else _NOT_SERVING

    def _forward(self, method: str) -> Handler:
        async def forward(request: bytes, context: Context) -> bytes:
            metadata = _metadata(context.invocation_metadata())
            try:
                return await self._call(method, request, metadata=metadata, timeout=context.time_remaining())
            except grpc.aio.AioRpcError as error:
                await context.abort(error.code(), error.details() or "", _metadata(error.trailing_metadata()))

        return forward


def _metadata(pairs: Iterable[tuple[str, str | bytes]] | None) -> tuple[tuple[str, str | bytes], ...]:
    return tuple((key, value) for key, value in pairs or () if not key.startswith(_OWN_HEADERS))


@asynccontextmanager
async def _healthz(port: int, reachable: Callable[[], Awaitable[bool]]) -> AsyncIterator[None]:
    """Answer `/healthz` as Milvus does (Milvus, internal/http/healthz): in JSON if the request has its Content-Type."""
    loop = asyncio.get_running_loop()

    class Healthz(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            if self.path != "/healthz":
                self.send_error(404)
                return
            try:
                good = asyncio.run_coroutine_threadsafe(_as_coroutine(reachable()), loop).result(2 * _STORE_SECONDS)
            except LateError:
                good = False
            text = "OK" if good else "Not all components are healthy, 0/1"
            if self.headers.get("Content-Type") == "application/json":
                text = json.dumps({"state": text, "detail": [{"name": "proxy", "code": 1 if good else 2}]})
            self.send_response(200 if good else 500)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer((LOOPBACK, port), Healthz)
    server.daemon_threads = True
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield
    finally:
        await asyncio.to_thread(server.shutdown)
        server.server_close()


async def _as_coroutine(work: Awaitable[bool]) -> bool:
    return await work


async def serve(store_port: int, port: int, health_port: int, certificate: tuple[Path, Path] | None) -> None:
    """Serve until SIGTERM or SIGINT.

    Args:
        store_port: the port of Milvus Lite.
        port: the serving port.
        health_port: the port of `/healthz`.
        certificate: a certificate chain and its key, PEM; None for plaintext.
    """
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    async with grpc.aio.insecure_channel(f"{LOOPBACK}:{store_port}", _SIZES) as store:
        proxy = Proxy(store)
        server = grpc.aio.server(handlers=[proxy], options=[*_SIZES, *_PINGS, ("grpc.so_reuseport", 0)])
        address = f"{LOOPBACK}:{port}"
        if certificate is None:
            server.add_insecure_port(address)
        else:
            chain, key = (path.read_bytes() for path in certificate)
            server.add_secure_port(address, grpc.ssl_server_credentials([(key, chain)]))
        async with _healthz(health_port, proxy.reachable):
            await server.start()
            await ended.wait()
            await server.stop(_GRACE_SECONDS)


if __name__ == "__main__":
    _store, _port, _health_port, *_files = sys.argv[1:]
    _certificate = (Path(_files[0]), Path(_files[1])) if _files else None
    asyncio.run(serve(int(_store), int(_port), int(_health_port), _certificate))
