"""A gRPC client that checks the answers."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

import grpc

from bench.outcome import BenchError

_CALL_SECONDS = 30.0


class GrpcCheck:
    """A client of 127.0.0.1:``port`` that trusts whatever certificate is there; a context manager."""

    def __init__(self, host: str, port: int) -> None:
        certificate = ssl.get_server_certificate(("127.0.0.1", port), timeout=_CALL_SECONDS)
        self._channel = grpc.secure_channel(
            f"127.0.0.1:{port}",
            grpc.ssl_channel_credentials(certificate.encode()),
            [
                ("grpc.ssl_target_name_override", host),
                ("grpc.enable_retries", 0),
                ("grpc.max_receive_message_length", -1),
                ("grpc.max_send_message_length", -1),
            ],
        )

    def call(self, path: str, request: bytes) -> bytes:
        """
        Return the serialised answer.

        Raises:
            BenchError: the call did not end with grpc-status 0.
        """
        as_bytes: grpc.UnaryUnaryMultiCallable[bytes, bytes] = self._channel.unary_unary(path)
        try:
            return as_bytes(request, timeout=_CALL_SECONDS)
        except grpc.RpcError as error:
            raise BenchError(f"{path}: {error.code().name} {error.details()}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._channel.close()


def wait_until_it_serves(
    host: str, port: int, path: str, request: bytes, *, seconds: float, ended: Callable[[], bool]
) -> None:
    """
    Return as soon as the call succeeds.

    Raises:
        BenchError: it did not within ``seconds``, or the server has ``ended``; says what the last attempt saw.
    """
    end = time.monotonic() + seconds
    while True:
        try:
            with GrpcCheck(host, port) as client:
                client.call(path, request)
        except (OSError, BenchError) as error:
            if ended():
                raise BenchError("it ended instead of serving") from error
            if time.monotonic() > end:
                raise BenchError(f"127.0.0.1:{port} does not serve {path} after {seconds:.0f} s: {error}") from error
            time.sleep(0.05)
        else:
            return
