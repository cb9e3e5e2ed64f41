"""The ADS server's socket and its responses, with a plain gRPC client."""

from __future__ import annotations

import asyncio
import struct
from pathlib import Path

import grpc.aio
import h2.config
import h2.connection
import h2.events
import pytest

from kiteway._proto.envoy.service.discovery.v3.discovery_pb2 import DeltaDiscoveryRequest, DeltaDiscoveryResponse
from kiteway.envoy.ads import CLUSTER, LISTENER, ROUTE, AdsServer, Resource, Snapshot
from tests.support.ads_session import ack, ask, nack, names, snapshot

METHOD = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"


@pytest.mark.anyio
async def test_the_socket_is_private_and_goes_with_the_server(tmp_path: Path) -> None:
    """An open directory is closed (0700), the socket is 0600, and stop removes it."""
    directory = tmp_path / "open"
    directory.mkdir()
    directory.chmod(0o755)
    server = AdsServer(directory / "ads.sock")
    await server.start()

    assert directory.stat().st_mode & 0o777 == 0o700
    assert (directory / "ads.sock").stat().st_mode & 0o777 == 0o600

    await server.stop()
    assert list(directory.iterdir()) == []


@pytest.mark.anyio
async def test_a_path_too_long_for_a_socket_is_an_error_that_says_so(tmp_path: Path) -> None:
    """The error has the kernel's limit and says what to do."""
    with pytest.raises(OSError, match="choose a shorter data directory"):
        await AdsServer(tmp_path / ("x" * 120) / "ads.sock").start()


@pytest.mark.anyio
async def test_a_published_snapshot_reaches_two_streams_and_a_lost_one_is_forgotten(tmp_path: Path) -> None:
    """Each stream is served separately; the state has only the streams that exist."""
    server = AdsServer(tmp_path / "ads.sock")
    await server.start()
    async with grpc.aio.insecure_channel(f"unix:{tmp_path / 'ads.sock'}") as channel:
        open_stream = channel.stream_stream(
            METHOD,
            request_serializer=DeltaDiscoveryRequest.SerializeToString,
            response_deserializer=DeltaDiscoveryResponse.FromString,
        )
        streams = [open_stream(), open_stream()]
        for stream in streams:
            await stream.write(DeltaDiscoveryRequest(type_url=CLUSTER))
        async with asyncio.timeout(60):
            await anext(state async for state in server.changes() if len(state.streams) == 2)
            await server.publish(Snapshot({CLUSTER: [Resource("a", "1", (b"",))]}))
            for stream in streams:
                response = await stream.read()
                assert isinstance(response, DeltaDiscoveryResponse)
                assert [item.name for item in response.resources] == ["a"]
            streams[0].cancel()
            await anext(state async for state in server.changes() if len(state.streams) == 1)
            streams[1].cancel()
    await server.stop()


@pytest.mark.anyio
async def test_pings_without_news_are_no_abuse(tmp_path: Path) -> None:
    """Envoy's pings are answered while there is nothing to send, without a GOAWAY."""
    server = AdsServer(tmp_path / "ads.sock")
    await server.start()
    reader, writer = await asyncio.open_unix_connection(tmp_path / "ads.sock")
    connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
    connection.initiate_connection()
    events: list[h2.events.Event] = []
    async with asyncio.timeout(60):
        for number in range(10):
            connection.ping(struct.pack(">Q", number))
            writer.write(connection.data_to_send())
            while sum(isinstance(event, h2.events.PingAckReceived) for event in events) <= number:
                data = await reader.read(65536)
                assert data, events
                events += connection.receive_data(data)
                assert not any(isinstance(event, h2.events.ConnectionTerminated) for event in events)
                writer.write(connection.data_to_send())
    writer.close()
    await server.stop()


@pytest.mark.anyio
async def test_rejected_route_tables_are_sent_again_by_themselves(tmp_path: Path) -> None:
    """If nobody publishes other tables, the search for the bad one begins without another request."""
    server = AdsServer(tmp_path / "ads.sock")
    await server.start()
    await server.publish(snapshot(cluster={"a": "1"}, listener={"l": "1"}, route={"r": "1", "s": "1"}))
    async with grpc.aio.insecure_channel(f"unix:{tmp_path / 'ads.sock'}") as channel:
        stream = channel.stream_stream(
            METHOD,
            request_serializer=DeltaDiscoveryRequest.SerializeToString,
            response_deserializer=DeltaDiscoveryResponse.FromString,
        )()

        async def read() -> DeltaDiscoveryResponse:
            response = await stream.read()
            assert isinstance(response, DeltaDiscoveryResponse)
            return response

        for kind in (CLUSTER, LISTENER):
            await stream.write(ask(kind))
            await stream.write(ack(await read()))
        await stream.write(ask(ROUTE, "r", "s"))
        tables = await read()
        assert names(tables) == ["r", "s"]
        await stream.write(nack(tables))
        async with asyncio.timeout(30):
            assert len(names(await read())) == 1
    await server.stop()
