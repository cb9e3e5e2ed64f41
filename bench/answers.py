"""
A gRPC server with constant answers, ``python -m bench.answers PORT CERTIFICATE KEY ROWS``.

The cache keeps answers of the content type of gRPC only, and nghttpd sends none.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from pathlib import Path

import grpc.aio

from bench.backends import SERVICE, constant_answers


class _Handler(grpc.GenericRpcHandler):
    def __init__(self, answers: Mapping[str, bytes]) -> None:
        self._handlers = {f"{SERVICE}/{name}": self._handler(answer) for name, answer in answers.items()}

    def _handler(self, answer: bytes) -> grpc.RpcMethodHandler[bytes, bytes]:
        async def give(_request: bytes, _context: object) -> bytes:
            return answer

        return grpc.unary_unary_rpc_method_handler(give)

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes] | None:
        return self._handlers.get(details.method)


async def _serve(port: int, certificate: bytes, key: bytes, rows: int) -> None:
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((_Handler(constant_answers(rows)),))
    credentials = grpc.ssl_server_credentials([(key, certificate)])
    server.add_secure_port(f"127.0.0.1:{port}", credentials)
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    port, certificate, key, rows = sys.argv[1:]
    asyncio.run(_serve(int(port), Path(certificate).read_bytes(), Path(key).read_bytes(), int(rows)))
