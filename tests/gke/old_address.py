"""The Layer-4 balancer from which the guide starts."""

from __future__ import annotations

import asyncio
import contextlib
import random
import threading
from typing import Self

from tests.gke.site import SERVICE, Site

_SLICES = (
    f"/apis/discovery.k8s.io/v1/namespaces/default/endpointslices?labelSelector=kubernetes.io/service-name={SERVICE}"
)


class OldAddress:
    """
    Hands each connection on to a ready endpoint of Milvus's Service, as a node does; a context manager.

    Attributes:
        port: where it listens, on 127.0.0.1.
    """

    def __init__(self, site: Site) -> None:
        self.port = 0
        self._site = site
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(10)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _listen(self) -> asyncio.Server:
        return await asyncio.start_server(self._serve, "127.0.0.1", 0)

    async def _close(self) -> None:
        self._server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    def _endpoints(self) -> list[str]:
        response = self._site.cluster.api.get(_SLICES)
        response.raise_for_status()
        return [
            endpoint["addresses"][0]
            for item in response.json()["items"]
            for endpoint in item.get("endpoints") or ()
            if endpoint["conditions"]["ready"]
        ]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            found = await asyncio.to_thread(self._endpoints)
            there_reader, there = await asyncio.open_connection(random.choice(found), 19530)
        except (OSError, IndexError):
            writer.transport.abort()
            return
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(_pump(reader, there))
                group.create_task(_pump(there_reader, writer))
        finally:
            for end in (writer, there):
                end.transport.abort()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.transport.abort()  # whoever has gone, the other shall know
