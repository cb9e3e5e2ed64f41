"""How often Envoy is asked for its clusters."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx2
import pytest

from kiteway.envoy.admin import AdminClient, AdminResponseError


class Envoy:
    """An admin API whose list takes some seconds of a clock."""

    def __init__(self) -> None:
        self.now = 100.0
        self.seconds = 0.0
        self.lists = 0
        self.text = b"{}"

    async def request(self, *_: object, **__: object) -> httpx2.Response:
        """Answer with a list whose only cluster is named by its number."""
        await asyncio.sleep(0)
        self.lists += 1
        self.now += self.seconds
        text = json.dumps({"cluster_statuses": [{"name": str(self.lists)}]}).encode()
        return httpx2.Response(200, content=self.text if self.text != b"{}" else text)


@pytest.fixture
def envoy() -> Envoy:
    """Return Envoy."""
    return Envoy()


def client_of(envoy: Envoy) -> AdminClient:
    """Return a client of ``envoy``."""
    client = AdminClient(Path("/nowhere"), clock=lambda: envoy.now)
    client_any: Any = client
    client_any._http.request = envoy.request
    return client


@pytest.mark.anyio
async def test_a_list_is_recent_for_fifty_times_what_it_took(envoy: Envoy) -> None:
    """A list that took 0.2 s is recent for 10 s; `clusters` always asks."""
    envoy.seconds = 0.2
    client = client_of(envoy)
    assert [*await client.recent_clusters()] == ["1"]
    envoy.now += 9.7
    assert [*await client.recent_clusters()] == ["1"]
    envoy.now += 0.2
    assert [*await client.recent_clusters()] == ["2"]
    assert [*await client.clusters()] == ["3"]
    assert [*await client.recent_clusters()] == ["3"]


@pytest.mark.anyio
async def test_two_that_look_at_the_same_time_share_a_list(envoy: Envoy) -> None:
    """The second waits for the list that the first has requested."""
    envoy.seconds = 0.2
    client = client_of(envoy)
    first, second = await asyncio.gather(client.recent_clusters(), client.recent_clusters())
    assert first is second
    assert envoy.lists == 1


@pytest.mark.anyio
async def test_an_answer_that_is_no_list_is_an_error(envoy: Envoy) -> None:
    """The error names the path, and the next call asks again."""
    client = client_of(envoy)
    envoy.text = b"OK"
    with pytest.raises(AdminResponseError, match="/clusters"):
        await client.recent_clusters()
    envoy.text = b"{}"
    assert [*await client.recent_clusters()] == ["2"]
