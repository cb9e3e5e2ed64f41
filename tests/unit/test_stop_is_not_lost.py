"""A task that is told to stop at the moment of an event stops: Python 3.11's ``asyncio.wait_for`` would go on."""

from __future__ import annotations

import asyncio
import datetime as dt
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import AsyncMock, Mock

import pytest

from kiteway.controlplane.run import ControlPlane
from kiteway.instance import Instance
from kiteway.supervisor import ready, waiting_room

TURNS = range(8)
"""So many turns of the event loop after the event."""


@pytest.mark.parametrize("turns", TURNS)
def test_it_closes_while_envoy_answers(turns: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stop is not lost, so many turns of the event loop after Envoy's answer: Kiteway would never end."""

    async def main() -> None:
        questions: list[asyncio.Future[bytes]] = []

        async def get(_socket: str, _path: str) -> bytes:
            questions.append(asyncio.get_running_loop().create_future())
            return await questions[-1]

        monkeypatch.setattr(ready, "_get", get)
        monkeypatch.setattr(waiting_room, "_migrates", lambda: True)
        room = waiting_room.WaitingRoom(lambda: ready.envoy_listening(Instance(tmp_path)))
        room.open()
        while not questions:  # noqa: ASYNC110
            await asyncio.sleep(0)
        questions[0].set_result(b"")
        for _ in range(turns):
            await asyncio.sleep(0)
        closing = asyncio.create_task(room.close())
        ended, _ = await asyncio.wait({closing}, timeout=5)
        assert ended

    asyncio.run(main())


@pytest.mark.parametrize("turns", TURNS)
@pytest.mark.parametrize(
    ("loop", "event"), [(ControlPlane._follow_drains, "_changed"), (ControlPlane._follow_endpoints, "_published")]
)
def test_a_loop_of_the_control_plane_stops_while_there_is_work(loop: Any, event: str, turns: int) -> None:
    """Else the control plane would not end, and the supervisor would kill it."""

    async def main() -> None:
        soon = dt.datetime.now(dt.UTC) + dt.timedelta(minutes=1)
        controlplane = SimpleNamespace(
            _changed=asyncio.Event(),
            _published=asyncio.Event(),
            _round=asyncio.Lock(),
            _pipeline=Mock(outcome=SimpleNamespace(next_drained=soon)),
            _recognition=AsyncMock(next_due=60.0),
            _publish=AsyncMock(),
            _recognized=AsyncMock(),
        )
        running = asyncio.create_task(loop(controlplane))
        for _ in range(10):
            await asyncio.sleep(0)
        getattr(controlplane, event).set()
        for _ in range(turns):
            await asyncio.sleep(0)
        running.cancel()
        ended, _ = await asyncio.wait({running}, timeout=5)
        assert ended

    asyncio.run(main())
