"""A gRPC server that knows no message: it notes the bytes of every call, and answers bytes that the test has chosen."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from concurrent import futures
from pathlib import Path
from typing import Self

import grpc
from pymilvus.grpc_gen import milvus_pb2

TRAILER = "x-echo-trailer-bin"
INITIAL = "x-echo-initial"
ALLOC_TIMESTAMP = "/milvus.proto.milvus.MilvusService/AllocTimestamp"
_STATUS_OK = b"\x0a\x00"
_LOGICAL_BITS = 18  # of a hybrid timestamp; the milliseconds are above them


class Echo(grpc.GenericRpcHandler):
    """
    Accepts every method, unary or a stream; a context manager.

    Each message of a call gets one answer, or as many as the metadata ``x-echo-answers`` says. The answers have the value of
    the metadata ``x-echo-bin`` before and after them, as metadata.

    Attributes:
        answers: the bytes of the answer by path. Without one it is a message with an empty status, and for AllocTimestamp the
            time, so that Kiteway's cache works.
        requests: the messages that came, by path.
        metadata: the metadata of the last call, by path.
    """

    def __init__(self, certificate: tuple[Path, Path] | None) -> None:
        """Listen on a free port of 127.0.0.1: with TLS, or without a certificate in plaintext."""
        self.answers: dict[str, bytes] = {}
        self.requests: defaultdict[str, list[bytes]] = defaultdict(list)
        self.metadata: dict[str, dict[str, str | bytes]] = {}
        sizes = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
        self._server = grpc.server(futures.ThreadPoolExecutor(max_workers=32), handlers=[self], options=sizes)
        if certificate is None:
            self.port = self._server.add_insecure_port("127.0.0.1:0")
        else:
            chain, key = (path.read_bytes() for path in certificate)
            self.port = self._server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([(key, chain)]))

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop(None).wait()

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes]:
        """Return the handler of a method: on the wire a unary call is a stream of one message."""
        path = str(details.method)
        metadata = dict(details.invocation_metadata)

        def handle(messages: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
            self.metadata[path] = metadata
            if "x-echo-bin" in metadata:
                context.send_initial_metadata(((INITIAL, metadata.get(INITIAL, "")),))
                context.set_trailing_metadata(((TRAILER, metadata["x-echo-bin"]),))
            for message in messages:
                self.requests[path].append(message)
                for _ in range(int(metadata.get("x-echo-answers", "1"))):
                    yield message if "x-echo-back" in metadata else self._answer(path)

        return grpc.stream_stream_rpc_method_handler(handle)

    def _answer(self, path: str) -> bytes:
        if path in self.answers:
            return self.answers[path]
        if path == ALLOC_TIMESTAMP:
            now = int(time.time() * 1000) << _LOGICAL_BITS
            return bytes(milvus_pb2.AllocTimestampResponse(timestamp=now).SerializeToString())
        return _STATUS_OK
