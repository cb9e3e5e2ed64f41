"""The ADS server: the sessions, driven over gRPC on a unix socket."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import grpc
import grpc.aio

from kiteway._proto.envoy.config.core.v3.base_pb2 import Node
from kiteway._proto.envoy.service.discovery.v3.discovery_pb2 import DeltaDiscoveryRequest, DeltaDiscoveryResponse

from .session import REJECTIONS, Session
from .snapshot import CLUSTER, Snapshot
from .socket import private_directory, restrict_socket
from .state import AdsState, RejectedAt, StreamState

_SERVICE: Final = "envoy.service.discovery.v3.AggregatedDiscoveryService"
_MAX_REQUEST_BYTES: Final = 16 * 2**20
"""A reconnect names every resource with its version: about 100 bytes each, 11,000 of them with 1,000 hosts."""
_MAX_RESPONSE_BYTES: Final = 64 * 2**20
"""A response is closed at 4 MiB, but a single resource is never split."""
_MAX_STREAMS: Final = 16
_STOP_SECONDS: Final = 1.0
_RESUME_SECONDS: Final = 0.25
"""How long a client's rejected route tables wait for others, see `Session.resume`; the quarantine needs a tenth of a second."""

_Context = grpc.aio.ServicerContext[DeltaDiscoveryRequest, DeltaDiscoveryResponse]


class _Stream:
    """One connected client: its session, and the bell that is rung when there is news for it."""

    def __init__(self, snapshot: Snapshot | None) -> None:
        self.session = Session(snapshot)
        self.node = Node()
        self.connected_at = datetime.now(UTC)
        self.bell = asyncio.Event()
        self.retry = False
        self.assume_clusters = False
        self.resume = False
        self.timer: asyncio.TimerHandle | None = None
        self.clusters_sent: float | None = None
        self._times: dict[str, datetime] = {}

    def rejected(self) -> list[RejectedAt]:
        """Return what was rejected since the last call; remember when, for what still stands."""
        now = datetime.now(UTC)
        found = [RejectedAt(now, rejection) for rejection in self.session.rejections]
        self.session.rejections.clear()
        standing = {rejection.nonce for rejection in self.session.refusals}
        self._times |= {each.rejection.nonce: now for each in found}
        self._times = {nonce: time for nonce, time in self._times.items() if nonce in standing}
        return found

    def watch(self) -> None:
        """Ring the bell in a while if the session waits for another snapshot, and not otherwise."""
        if self.timer is not None and not self.session.waits:
            self.timer.cancel()
            self.timer = None
        elif self.timer is None and self.session.waits:
            self.timer = asyncio.get_running_loop().call_later(_RESUME_SECONDS, self._ring)

    def _ring(self) -> None:
        self.timer = None
        self.resume = True
        self.bell.set()

    def state(self, snapshot: Snapshot | None) -> StreamState:
        version = self.node.user_agent_build_version.version
        return StreamState(
            node_id=self.node.id,
            envoy_version=f"{version.major_number}.{version.minor_number}.{version.patch}"
            if self.node.HasField("user_agent_build_version")
            else "",
            connected_at=self.connected_at,
            acknowledged=dict(self.session.acknowledged),
            rejected=self.session.rejected,
            converged=snapshot is not None and self.session.converged(snapshot),
            current=snapshot is not None and self.session.snapshot is snapshot,
            clusters_sent=self.clusters_sent if self.session.waits_for_clusters else None,
            starting=self.session.starting,
            clusters_answered=self.session.clusters_answered,
            refusals=tuple(
                RejectedAt(self._times[rejection.nonce], rejection)
                for rejection in self.session.refusals
                if rejection.nonce in self._times
            ),
            missing=self.session.missing(),
            active=self.session.active,
            bare=self.session.bare,
        )


class AdsServer:
    """
    Serves the newest published snapshot to every client, phase by phase and each in its own time.

    If a new snapshot is published before a client is done with the last one, the new one becomes the client's target.
    """

    def __init__(self, path: Path) -> None:
        """
        Prepare a server on the unix socket ``path``.

        The path has at most 107 bytes. Its directory will be created with, or set to, mode 0700.
        """
        self._path = path
        self._server: grpc.aio.Server | None = None
        self._snapshot: Snapshot | None = None
        self._streams: list[_Stream] = []
        self._rejections: deque[RejectedAt] = deque(maxlen=REJECTIONS)
        self._active = False
        self._changed = asyncio.Event()

    async def start(self) -> None:
        """
        Listen. The socket has mode 0600.

        Raises:
            OSError: the directory cannot be made private, or the socket not be bound.
        """
        private_directory(self._path)
        server = grpc.aio.server(
            options=[
                ("grpc.max_receive_message_length", _MAX_REQUEST_BYTES),
                ("grpc.max_send_message_length", _MAX_RESPONSE_BYTES),
                # Envoy pings every 30 s. After two minutes without data gRPC would treat the pings as abuse and close
                # the connection. Only our own processes can open the socket.
                ("grpc.http2.max_ping_strikes", 0),
            ],
            maximum_concurrent_rpcs=_MAX_STREAMS,
        )
        handler = grpc.stream_stream_rpc_method_handler(
            self._serve,
            request_deserializer=DeltaDiscoveryRequest.FromString,
            response_serializer=DeltaDiscoveryResponse.SerializeToString,
        )
        server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(_SERVICE, {"DeltaAggregatedResources": handler}),)
        )
        try:
            server.add_insecure_port(f"unix:{self._path}")
        except RuntimeError as error:
            raise OSError(f"cannot listen on the unix socket {self._path}: {error}") from error
        restrict_socket(self._path)
        await server.start()
        self._server = server

    async def stop(self) -> None:
        """End all streams and remove the socket."""
        if self._server is not None:
            await self._server.stop(_STOP_SECONDS)
            self._server = None
            self._path.unlink(missing_ok=True)

    async def publish(self, snapshot: Snapshot) -> None:
        """Make this the snapshot that every client shall run. Does not wait for any of them."""
        self._snapshot = snapshot
        for stream in self._streams:
            stream.bell.set()
        self._notify()

    def retry(self) -> None:
        """Offer again the listeners that clients now reject: an address that was in use may be free."""
        for stream in self._streams:
            stream.retry = True
            stream.bell.set()

    @property
    def state(self) -> AdsState:
        """The state of all streams at this moment."""
        streams = tuple(stream.state(self._snapshot) for stream in self._streams)
        version = self._snapshot.version if self._snapshot is not None else ""
        return AdsState(version, streams, tuple(self._rejections), self._active)

    def assume_clusters(self) -> None:
        """Let clients' streams go on though clusters are warming, see `Session.assume_clusters`."""
        for stream in self._streams:
            stream.assume_clusters = True
            stream.bell.set()

    @property
    def next_change(self) -> asyncio.Event:
        """Set at the next change of the state."""
        return self._changed

    async def changes(self) -> AsyncIterator[AdsState]:
        """Yield the state now and after every change; a slow reader gets the newest, and misses those between."""
        while True:
            changed = self._changed
            yield self.state
            await changed.wait()

    def _notify(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def _serve(self, _: AsyncIterator[DeltaDiscoveryRequest], context: _Context) -> None:
        stream = _Stream(self._snapshot)
        self._streams.append(stream)
        try:
            await self._converse(stream, context)
        finally:
            self._streams.remove(stream)
            self._notify()

    async def _converse(self, stream: _Stream, context: _Context) -> None:
        # One loop reads, thinks and writes: while a slow client does not take a response, nothing is read from it.
        reading = asyncio.ensure_future(context.read())
        ringing = asyncio.ensure_future(stream.bell.wait())
        try:
            while True:
                await asyncio.wait((reading, ringing), return_when=asyncio.FIRST_COMPLETED)
                responses: list[DeltaDiscoveryResponse] = []
                if reading.done():
                    request = reading.result()
                    if not isinstance(request, DeltaDiscoveryRequest):
                        return
                    if request.HasField("node"):
                        stream.node = request.node
                    responses += stream.session.on_request(request)
                    reading = asyncio.ensure_future(context.read())
                if ringing.done():
                    stream.bell.clear()
                    ringing = asyncio.ensure_future(stream.bell.wait())
                    responses += self._rung(stream)
                if any(response.type_url == CLUSTER for response in responses):
                    stream.clusters_sent = asyncio.get_running_loop().time()
                stream.watch()
                self._after(stream)
                while responses:
                    # Nothing refers to it once it is sent: it can be megabytes, and the next request can be long in coming.
                    await context.write(responses.pop(0))
        finally:
            reading.cancel()
            ringing.cancel()
            if stream.timer is not None:
                stream.timer.cancel()

    def _rung(self, stream: _Stream) -> list[DeltaDiscoveryResponse]:
        """Return what to send because of what the bell was rung for."""
        session = stream.session
        responses: list[DeltaDiscoveryResponse] = []
        if self._snapshot is not None and self._snapshot is not session.snapshot:
            responses += session.on_snapshot(self._snapshot)
        if stream.retry:
            stream.retry = False
            responses += session.retry()
        if stream.assume_clusters:
            stream.assume_clusters = False
            responses += session.assume_clusters()
        if stream.resume:
            stream.resume = False
            responses += session.resume()
        return responses

    def _after(self, stream: _Stream) -> None:
        """Take from the session what is not for the client."""
        self._rejections.extend(stream.rejected())
        self._active = self._active or stream.session.active
        self._notify()
