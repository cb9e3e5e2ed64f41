"""A health port that answers like Milvus, or like another server."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager

MILVUS = b'{"state":"OK","detail":[{"name":"proxy","code":1},{"name":"rootcoord","code":1}]}'
"""What Milvus 2.3 answers."""


@contextmanager
def answering(body: bytes, status: int = 200) -> Iterator[int]:
    """
    Answer health checks, those that ask for JSON as Milvus understands it with ``body``; return the port.

    Envoy's own checks get "OK".
    """

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = body if self.path == "/healthz" and self.headers["Content-Type"] == "application/json" else b"OK"
            self.send_response(status)
            self.send_header("Content-Length", str(len(found)))
            self.end_headers()
            self.wfile.write(found)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name in the base class
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
