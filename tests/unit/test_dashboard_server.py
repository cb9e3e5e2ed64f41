"""The web page's API over HTTP, before a made-up instance."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import math
import re
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path
from typing import Any

import httpx2
import pytest

from kiteway import dashboard
from kiteway.dashboard.access import Access
from kiteway.dashboard.board import Board
from kiteway.dashboard.figures import Figures
from kiteway.dashboard.history import SERIES_MOST
from kiteway.dashboard.overview import overview
from kiteway.dashboard.server import STREAMS_MOST
from kiteway.report.calls import CallsRow
from tests.support.dashboard import MadeUp, served, status

STATIC = Path(dashboard.__file__).parent / "static"
TABLES = ("hosts", "endpoints", "collections", "users", "queues", "certificates", "problems")


@contextlib.asynccontextmanager
async def page(
    hosts: int = 2, endpoints: int = 200, access: Access | None = None
) -> AsyncIterator[tuple[Board, MadeUp, httpx2.AsyncClient]]:
    """Serve a page that has read its source, with one interval of calls."""
    source = MadeUp(hosts, endpoints)
    async with served(source, access) as (board, url), httpx2.AsyncClient(base_url=url, trust_env=False) as client:
        while not (source.asked and board.seen.counted):
            await board.newer(board.version)
        await board.count()
        yield board, source, client


def test_a_time_above_the_last_bound_is_shown_as_that() -> None:
    """On the overview, too: JSON has no infinity, and null stands for no calls."""
    board = Board(MadeUp(1, 1))
    all_now = CallsRow(
        pool="",
        calls=2,
        share=1,
        errors={},
        p50=0.5,
        p99=math.inf,
        rows=0,
        bytes=0,
        cache=None,
        waited=0,
        wait=None,
        refused=0,
    )
    board.seen = dataclasses.replace(board.seen, figures=Figures(seconds=5, all_now=all_now))
    traffic = overview(board).traffic
    assert (traffic.p50, traffic.p99) == (0.5, 60)


def run(test: Coroutine[Any, Any, None]) -> None:
    """Run a test that is a coroutine, for at most a minute."""

    async def bounded() -> None:
        async with asyncio.timeout(60):
            await test

    asyncio.run(bounded())


def test_every_table_is_a_page() -> None:
    """And what it says fits what was read."""

    async def test() -> None:
        async with page() as (_, _, client):
            found = {name: (await client.get(f"/api/{name}")).json() for name in TABLES}
            assert {name: value["total"] for name, value in found.items()} == {
                "hosts": 2,
                "endpoints": 200,
                "collections": 2,
                "users": 2,
                "queues": 2,
                "certificates": 2,
                "problems": 0,
            }
            first = found["endpoints"]["rows"][0]
            assert (first["health"], first["why"]) == ("failing", "9091 refused the connection")
            assert first["share"] == 0.01
            assert first["calls"]["total"] == 2
            assert first["calls"]["p50"] > 0
            assert found["queues"]["refused"] == {"waited": 3}
            failing = (await client.get("/api/endpoints", params={"only": "failing", "q": "S1"})).json()
            assert failing["found"] == 1

    run(test())


def test_the_overview_counts() -> None:
    """The numbers of the first view."""

    async def test() -> None:
        async with page() as (_, _, client):
            found = (await client.get("/api/overview")).json()
            assert found["endpoints"] == {"failing": 2, "healthy": 198}
            assert (found["hosts"], found["pools"], found["certificates"], found["certificatesNear"]) == (2, 2, 2, 2)
            assert found["traffic"]["connections"] == 7
            assert found["traffic"]["total"] == 4
            assert found["traffic"]["calls"] > 0

    run(test())


def test_the_page_of_one_endpoint_and_one_collection_has_its_plot() -> None:
    """And none for what there is not."""

    async def test() -> None:
        async with page() as (_, _, client):
            endpoint = {"pool": "default/s0/19530", "address": "10.0.0.0:19530"}
            found = (await client.get("/api/endpoint", params=endpoint)).json()
            assert found["endpoint"]["address"] == endpoint["address"]
            assert found["plot"]["calls"][-1] > 0
            names = {"pool": "default/s1/19530", "database": "default", "collection": "books"}
            found = (await client.get("/api/collection", params=names)).json()
            assert found["collection"]["collection"] == "books"
            assert [row["rpc"] for row in found["rpcs"]] == ["Search"]
            assert found["plot"]["calls"][-1] > 0
            found = (await client.get("/api/endpoint", params={"pool": "x", "address": "y"})).json()
            assert (found["endpoint"], found["plot"]) == (None, None)

    run(test())


def test_every_answer_keeps_a_browser_from_anything_foreign() -> None:
    """The page, its files, the API and refusals; nothing is written, whatever the method."""

    async def test() -> None:
        async with page() as (_, _, client):
            for path in ("/", "/api/overview", "/absent"):
                answer = await client.get(path)
                policy = answer.headers["content-security-policy"]
                assert "default-src 'none'" in policy
                assert "unsafe" not in policy
                assert answer.headers["x-content-type-options"] == "nosniff"
                assert "access-control-allow-origin" not in answer.headers
            for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
                assert (await client.request(method, "/api/overview")).status_code == 405
            refused = await client.get("/api/overview", headers={"host": "evil.example"})
            assert refused.status_code == 421
            assert "release" not in refused.text
            for path in ("/static/../server.py", "/static/%2e%2e/server.py", "/static//etc/passwd", "/server.py"):
                assert (await client.get(path)).status_code == 404

    run(test())


def test_the_page_names_all_its_modules() -> None:
    """So a browser loads them together, and not one after the other as they import each other."""
    named = set(re.findall(r'(?:src|href)="/static/([a-z]+\.js)"', (STATIC / "index.html").read_text()))
    assert named == {path.name for path in STATIC.glob("*.js")}


def test_both_languages_have_the_same_words() -> None:
    """Each key, with the same values in it, but for those that only one language needs."""
    words = [
        dict(re.findall(r'^  "([^"]+)": "(.*)",$', (STATIC / name).read_text(), re.MULTILINE))
        for name in ("en.js", "zh.js")
    ]
    assert words[0].keys() == words[1].keys()
    assert len(words[0]) > 150
    used = set(re.findall(r'\bt\("([a-z][\w.-]*)"', "".join(path.read_text() for path in STATIC.glob("*.js"))))
    assert used - words[0].keys() == set()


def test_the_page_names_documents_in_its_language() -> None:
    """A document that the page names exists, and for a reader of Chinese it is the Chinese one."""
    root = Path(__file__).resolve().parents[2]
    for name, chinese in (("en.js", False), ("zh.js", True)):
        named = re.findall(r"docs/[\w/.-]+\.md", (STATIC / name).read_text(encoding="utf-8"))
        assert named
        assert all((root / page).exists() and page.endswith(".zh.md") == chinese for page in named), name


def test_without_the_token_only_the_files_are_answered(tmp_path: Path) -> None:
    """Each path of the API, the stream too."""
    file = tmp_path / "token"
    file.write_text("0123456789abcdef")
    file.chmod(0o600)

    async def test() -> None:
        async with page(access=Access(file)) as (_, _, client):
            for name in (*TABLES, "overview", "history", "events", "endpoint", "collection", "stream"):
                answer = await client.get(f"/api/{name}")
                assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
            headers = {"authorization": "Bearer 0123456789abcdef"}
            assert (await client.get("/api/overview", headers=headers)).status_code == 200
            assert (await client.get("/")).status_code == 200

    run(test())


async def _overviews(answer: httpx2.Response) -> AsyncIterator[Any]:
    async for line in answer.aiter_lines():
        if line.startswith("data: "):
            yield json.loads(line.removeprefix("data: "))


def test_a_stream_has_the_overview_now_and_after_each_change() -> None:
    """Versions grow."""

    async def test() -> None:
        async with page() as (board, _, client), client.stream("GET", "/api/stream") as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            found = _overviews(answer)
            first = await anext(found)
            await board.look()
            assert (await anext(found))["version"] > first["version"]

    run(test())


def test_streams_are_bounded_and_make_room_when_they_end() -> None:
    """The surplus is refused at once; tables are answered all the same."""

    async def test() -> None:
        async with page() as (_, _, client), contextlib.AsyncExitStack() as stack:
            limits = httpx2.Limits(max_connections=None)
            many = await stack.enter_async_context(
                httpx2.AsyncClient(base_url=client.base_url, trust_env=False, limits=limits)
            )
            opened = [await stack.enter_async_context(many.stream("GET", "/api/stream")) for _ in range(STREAMS_MOST)]
            assert {each.status_code for each in opened} == {200}
            refused = await many.get("/api/stream")
            assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
            assert (await many.get("/api/endpoints")).status_code == 200
            await opened[0].aclose()
            while True:
                async with many.stream("GET", "/api/stream") as again:
                    if again.status_code == 200:
                        break

    run(test())


def test_the_status_is_read_more_often_while_somebody_watches(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream wakes a page that waits; the longest wait without one is made endless here."""
    monkeypatch.setattr("kiteway.dashboard.board._WATCHED_SECONDS", 0.01)
    monkeypatch.setattr("kiteway.dashboard.board._UNWATCHED_SECONDS", 3600.0)

    async def test() -> None:
        async with page() as (board, source, client):
            asked = source.asked
            async with client.stream("GET", "/api/stream"):
                while source.asked < asked + 5:
                    await board.newer(board.version)

    run(test())


def test_a_question_that_took_long_is_asked_again_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pause grows with the length of a question, which is made endless here but for its bound."""
    monkeypatch.setattr("kiteway.dashboard.board._PACE", 10**9)
    monkeypatch.setattr("kiteway.dashboard.board._PAUSE_SECONDS_MOST", 0.01)
    monkeypatch.setattr("kiteway.dashboard.board._UNWATCHED_SECONDS", 0.01)

    async def test() -> None:
        async with page() as (board, source, _):
            asked = source.asked
            while source.asked < asked + 3:
                await board.newer(board.version)

    run(test())


def test_a_change_of_health_is_looked_at_before_it_is_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pause between two looks is made endless here, so that only the change can end it."""
    monkeypatch.setattr("kiteway.dashboard.board._WATCHED_SECONDS", 3600.0)
    monkeypatch.setattr("kiteway.dashboard.board._SIGNAL_SECONDS", 0.01)

    async def test() -> None:
        async with page() as (board, source, client), client.stream("GET", "/api/stream"):
            source.value = status(2, 400)
            while board.journal.last == 0:
                await board.newer(board.version)
            assert board.journal.newest()[0].kind == "more"

    run(test())


def test_series_are_bounded_whatever_the_number_of_endpoints() -> None:
    """With a thousand hosts and ten thousand endpoints each view is a page, and memory does not grow."""

    async def test() -> None:
        async with page(1000, 10_000) as (board, _, client):
            assert board.history.number == SERIES_MOST
            for name in TABLES:
                answer = await client.get(f"/api/{name}")
                assert len(answer.json()["rows"]) <= 50
                assert len(answer.content) < 50_000
            assert len((await client.get("/api/overview")).content) < 5000

    run(test())
