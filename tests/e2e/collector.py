"""A collector of OpenTelemetry's protocol over HTTP, for the tests: it keeps what it gets."""

from __future__ import annotations

import http.server
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Self

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.trace.v1.trace_pb2 import Span


@dataclass
class Collector:
    """
    A collector on loopback.

    Attributes:
        tls: how it speaks TLS; None: it does not.
        status: the HTTP status of its answers.
        traces: the exports of traces, in order.
        logs: the exports of logs, in order.
        authorization: the header of that name of each export.
    """

    tls: ssl.SSLContext | None = None
    status: int = 200
    traces: list[ExportTraceServiceRequest] = field(default_factory=list)
    logs: list[ExportLogsServiceRequest] = field(default_factory=list)
    authorization: list[str | None] = field(default_factory=list)
    port: int = 0

    def __enter__(self) -> Self:
        handler = type("Handler", (_Handler,), {"collector": self})
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", self.port), handler)
        self.port = self._server.server_address[1]
        if self.tls is not None:
            self._server.socket = self.tls.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def spans(self, operation: str | None = None) -> list[Span]:
        """Return the spans, those with this name or all."""
        found = [
            span
            for export in self.traces
            for of in export.resource_spans
            for scope in of.scope_spans
            for span in scope.spans
        ]
        return [span for span in found if operation is None or span.name == operation]

    def records(self) -> list[LogRecord]:
        """Return the log records."""
        return [
            record
            for export in self.logs
            for of in export.resource_logs
            for scope in of.scope_logs
            for record in scope.log_records
        ]


def attributes(values: Iterator[KeyValue] | Any) -> dict[str, str]:
    """Return attributes as a dictionary; numbers as they are printed."""
    found = {each.key: each.value for each in values}
    return {
        key: str(value.int_value) if value.HasField("int_value") else value.string_value for key, value in found.items()
    }


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    collector: Collector

    def do_POST(self) -> None:
        """Keep an export."""
        body = b"".join(self._chunks())
        self.collector.authorization.append(self.headers["authorization"])
        if self.path.endswith("/v1/traces"):
            self.collector.traces.append(ExportTraceServiceRequest.FromString(body))
        elif self.path.endswith("/v1/logs"):
            self.collector.logs.append(ExportLogsServiceRequest.FromString(body))
        self.send_response(self.collector.status)
        self.send_header("content-length", "0")
        self.end_headers()

    def _chunks(self) -> Iterator[bytes]:
        """Read a body in chunks, which is how Envoy sends one."""
        while size := int(self.rfile.readline(), 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name in the base class
        """Say nothing."""
