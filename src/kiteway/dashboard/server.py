"""The page's HTTP API: files, tables as JSON, and one stream of events for each viewer."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path
from typing import Any, Final

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from kiteway.dashboard.access import API, Access, Guard
from kiteway.dashboard.board import Board, Seen
from kiteway.dashboard.figures import ALL
from kiteway.dashboard.history import POINTS, Key, Plot
from kiteway.dashboard.journal import Event
from kiteway.dashboard.lists import (
    CERTIFICATES,
    HOSTS,
    PROBLEMS,
    QUEUES,
    certificate_rows,
    host_rows,
    problem_rows,
    queue_rows,
    refused,
)
from kiteway.dashboard.names import clusters_of
from kiteway.dashboard.overview import overview
from kiteway.dashboard.paging import Ask, Page, Table
from kiteway.dashboard.tables import (
    COLLECTIONS,
    ENDPOINTS,
    USERS,
    CollectionRow,
    EndpointRow,
    collection_rows,
    endpoint_rows,
    user_rows,
)
from kiteway.metrics.top import By
from kiteway.status.limits import Limits

STREAMS_MOST: Final = 32
"""Streams at the same time; a page that gets none asks every few seconds instead."""
LIMITS: Final = Limits(connections=128, of_a_peer=64, answer_seconds=300.0)
"""A stream ends after five minutes, and the page opens the next one. So a reader that does not read is closed then."""
_KEEPALIVE_SECONDS = 15.0
_EVENTS_MOST = 200
_RECENT_POINTS = 180
"""Points of a plot: 15 minutes."""
_STATIC = Path(__file__).parent / "static"
_TYPES = {
    ".html": "text/html",
    ".js": "text/javascript",
    ".css": "text/css",
    ".svg": "image/svg+xml",
    ".txt": "text/plain",
}


class Events(msgspec.Struct, frozen=True):
    """The newest events, the newest first."""

    events: list[Event]


class Detail(msgspec.Struct, frozen=True, kw_only=True):
    """
    One endpoint or collection with its last 15 minutes.

    Attributes:
        endpoint: the endpoint.
        collection: the collection.
        rpcs: the rpcs of the collection.
        plot: null if nothing is known of it: it had no calls, or there are too many busier ones.
        events: the newest events about it.
    """

    endpoint: EndpointRow | None = None
    collection: CollectionRow | None = None
    rpcs: list[CollectionRow] = []
    plot: Plot | None = None
    events: list[Event] = []


class Queues(Page[Any], frozen=True, kw_only=True):
    """The pools with their admission, and what was refused since Envoy's start, by reason."""

    refused: dict[str, int]


def application(board: Board, access: Access) -> ASGIApp:
    """Return the page of ``board``, for the viewers that ``access`` permits."""
    files = [Route("/", _file(_STATIC / "index.html"))]
    files += [Route(f"/static/{path.name}", _file(path)) for path in sorted(_STATIC.iterdir()) if path.suffix in _TYPES]
    return Guard(Starlette(routes=[*files, *_api(board)]), access)


def _api(board: Board) -> list[BaseRoute]:
    streams = asyncio.Semaphore(STREAMS_MOST)
    newest = _Newest(board)

    def first_view(_: Request) -> Any:
        return overview(board)

    def history(_: Request) -> Any:
        return Detail(plot=board.history.plot(ALL, POINTS))

    def events(request: Request) -> Any:
        after = request.query_params.get("after", "0")
        known = int(after) if after.isascii() and after.isdecimal() and len(after) < 16 else 0
        return Events(board.journal.newest(after=known)[:_EVENTS_MOST])

    def queues(request: Request) -> Any:
        page = QUEUES.page(queue_rows(board.seen), Ask.of_query(request.query_params))
        return Queues(**msgspec.structs.asdict(page), refused=refused(board.seen))

    def table(found: Table[Any], rows: Callable[[Seen], Iterable[Any]]) -> Callable[[Request], Any]:
        newest = _NewestRows(board, rows)
        return lambda request: found.page(newest(), Ask.of_query(request.query_params))

    answers: dict[str, Callable[[Request], Any]] = {
        "overview": first_view,
        "history": history,
        "events": events,
        "hosts": table(HOSTS, host_rows),
        "endpoints": table(ENDPOINTS, endpoint_rows),
        "collections": table(COLLECTIONS, collection_rows),
        "users": table(USERS, user_rows),
        "queues": queues,
        "certificates": table(CERTIFICATES, certificate_rows),
        "problems": table(PROBLEMS, problem_rows),
        "endpoint": functools.partial(_endpoint, board),
        "collection": functools.partial(_collection, board),
    }

    async def stream(_: Request) -> Response:
        if streams.locked():
            return PlainTextResponse("too many streams", 503, {"retry-after": "5"})
        await streams.acquire()
        return _Stream(_pieces(board, newest), board, streams)

    return [Route(f"{API}stream", stream), *(Route(f"{API}{name}", _json(answer)) for name, answer in answers.items())]


def _endpoint(board: Board, request: Request) -> Any:
    pool, address = request.query_params.get("pool", ""), request.query_params.get("address", "")
    row = next((row for row in endpoint_rows(board.seen) if (row.pool, row.address) == (pool, address)), None)
    events = [event for event in board.journal.newest() if event.about == address][:_EVENTS_MOST]
    return Detail(
        endpoint=row,
        plot=_plot(board, *((str(By.ENDPOINT), cluster, address) for cluster in clusters_of(pool))),
        events=events,
    )


def _collection(board: Board, request: Request) -> Any:
    wanted = tuple(request.query_params.get(name, "") for name in ("pool", "database", "collection"))

    def of(kind: By) -> list[CollectionRow]:
        return [row for row in collection_rows(board.seen, kind) if (row.pool, row.database, row.collection) == wanted]

    pool, *names = wanted
    plot = _plot(board, *((str(By.COLLECTION), cluster, *names) for cluster in clusters_of(pool)))
    return Detail(collection=next(iter(of(By.COLLECTION)), None), rpcs=of(By.RPC), plot=plot)


def _plot(board: Board, *keys: Key) -> Plot | None:
    """Return the plot of the first of these series that there is."""
    return next((found for key in keys if (found := board.history.plot(key, _RECENT_POINTS))), None)


def _json(answer: Callable[[Request], Any]) -> Callable[[Request], Any]:
    async def get(request: Request) -> Response:
        # Sorting thousands of rows takes a while, in which the streams go on.
        body = await asyncio.to_thread(lambda: encoded(answer(request)))
        return Response(body, media_type="application/json")

    return get


def encoded(value: Any) -> bytes:
    r"""Return ``value`` as JSON; lone surrogates, which stand for bytes of file names that are not UTF-8, as ``?``."""
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:
        return msgspec.json.encode(_encodable(msgspec.to_builtins(value)))


def _encodable(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode(errors="replace").decode()
    if isinstance(value, dict):
        return {_encodable(key): _encodable(each) for key, each in value.items()}
    return [_encodable(each) for each in value] if isinstance(value, list | tuple) else value


class _NewestRows:
    """The rows of a table, built once for all questions until something is read again."""

    def __init__(self, board: Board, rows: Callable[[Seen], Iterable[Any]]) -> None:
        self._board = board
        self._rows = rows
        self._built: tuple[Seen, list[Any]] | None = None

    def __call__(self) -> list[Any]:
        seen, built = self._board.seen, self._built
        if built is None or built[0] is not seen:
            self._built = built = (seen, list(self._rows(seen)))
        return built[1]


class _Newest:
    """The overview as JSON, built once for all viewers of a version."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._version = -1
        self._body = b""

    def __call__(self) -> bytes:
        board = self._board
        if self._version != board.version:
            self._version = board.version
            self._body = encoded(overview(board))
        return self._body


async def _pieces(board: Board, newest: _Newest) -> AsyncIterator[bytes]:
    """Yield the overview now and after each change, as server-sent events; a slow reader gets only the newest."""
    version = -1
    while not board.ended:
        try:
            async with asyncio.timeout(_KEEPALIVE_SECONDS):
                version = await board.newer(version)
        except TimeoutError:
            yield b": alive\n\n"
        else:
            yield b"data: " + newest() + b"\n\n"


class _Stream(StreamingResponse):
    """Keeps its place among the streams, and the board awake, until it ends."""

    def __init__(self, pieces: AsyncIterator[bytes], board: Board, streams: asyncio.Semaphore) -> None:
        super().__init__(pieces, media_type="text/event-stream")
        self._board = board
        self._streams = streams

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            with self._board.watched():
                await super().__call__(scope, receive, send)
        finally:
            self._streams.release()


def _file(path: Path) -> Callable[[Request], Any]:
    content = path.read_bytes()

    async def get(_: Request) -> Response:
        return Response(content, media_type=f"{_TYPES[path.suffix]}; charset=utf-8")

    return get
