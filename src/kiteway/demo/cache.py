"""The same search twice: first Milvus answers it, then the balancer's cache."""

from __future__ import annotations

import base64
import importlib
import struct
import time
from collections.abc import Callable
from typing import Any, Final

from kiteway.demo.report import SearchReport
from kiteway.milvus.verify import Target
from kiteway.milvus.verify.sdk import load_pymilvus, quiet
from kiteway.milvus.verify.session import DIMENSION, Session
from kiteway.probe.result import join_host_port

SECONDS: Final = 60.0
"""Seconds for the collection and the searches."""

_HIT_SECONDS = 10.0
"""Seconds of searches until one is a hit. The filter needs a timestamp of Milvus that is 1 s old, and a repeated question."""
_PAUSE_SECONDS = 0.25
_HEADER = "kiteway-cache"


class CacheNotShownError(Exception):
    """No search was answered from the cache; the message says how they were answered."""


def search_twice(target: Target) -> tuple[SearchReport, SearchReport]:
    """
    Make a collection, search it until the cache answers, and drop it. Blocking.

    Returns:
        The last search that Milvus answered, and the same search after it.

    Raises:
        CacheNotShownError: the cache answered none.
        Exception: whatever PyMilvus raises.
    """
    pymilvus = load_pymilvus()
    session = Session(pymilvus, target)
    deadline = time.monotonic() + SECONDS
    with quiet():
        try:
            for step in (session.connect_client, session.create, session.insert, session.index, session.load):
                step(deadline - time.monotonic())
            with _channel(target) as channel:
                return until_hit(_Search(channel, session.collection, session.vectors[0], target.token))
        finally:
            if session.may_exist:
                session.drop(max(1.0, deadline - time.monotonic()))
            session.close()


def until_hit(search: Callable[[], SearchReport]) -> tuple[SearchReport, SearchReport]:
    """Search until the cache answers; return the search before and this one. Raises CacheNotShownError."""
    deadline = time.monotonic() + _HIT_SECONDS
    before = search()
    while True:
        now = search()
        if now.outcome.startswith("hit"):
            return before, now
        if time.monotonic() > deadline or not now.outcome:
            found = f"the last one was: {now.outcome}" if now.outcome else f"the answers have no header {_HEADER}"
            raise CacheNotShownError(f"the cache answered no search within {_HIT_SECONDS:g} s; {found}")
        before = now
        time.sleep(_PAUSE_SECONDS)


class _Search:
    """One search at the level Bounded, as bytes that are equal each time; PyMilvus does not show the headers of answers."""

    def __init__(self, channel: Any, collection: str, vector: list[float], token: str | None) -> None:
        common = importlib.import_module("pymilvus.grpc_gen.common_pb2")
        milvus = importlib.import_module("pymilvus.grpc_gen.milvus_pb2")
        services = importlib.import_module("pymilvus.grpc_gen.milvus_pb2_grpc")
        self._call = services.MilvusServiceStub(channel).Search
        # As PyMilvus sends it.
        self._metadata = [("authorization", base64.b64encode(token.encode()).decode())] if token else []
        asked = common.PlaceholderValue(
            tag="$0",
            type=common.PlaceholderType.FloatVector,
            values=[struct.pack(f"<{DIMENSION}f", *vector)],
        )
        parameters = {"anns_field": "vector", "topk": "5", "metric_type": "L2", "params": "{}", "round_decimal": "-1"}
        self._request = milvus.SearchRequest(
            collection_name=collection,
            dsl_type=common.DslType.BoolExprV1,
            placeholder_group=common.PlaceholderGroup(placeholders=[asked]).SerializeToString(),
            search_params=[common.KeyValuePair(key=key, value=value) for key, value in parameters.items()],
            nq=1,
            consistency_level=common.ConsistencyLevel.Bounded,
        )

    def __call__(self) -> SearchReport:
        began = time.perf_counter()
        answer, call = self._call.with_call(self._request, timeout=_HIT_SECONDS, metadata=self._metadata)
        seconds = time.perf_counter() - began
        if answer.status.code or answer.status.error_code:
            raise CacheNotShownError(f"Milvus refused the search: {answer.status.reason}")
        headers = dict(call.initial_metadata())
        return SearchReport(str(headers.get(_HEADER, "")), round(seconds, 6))


def _channel(target: Target) -> Any:
    grpc = importlib.import_module("grpc")
    address = join_host_port(target.host, target.port)
    roots = target.ca.read_bytes() if target.ca is not None else None
    options = [("grpc.ssl_target_name_override", target.name)]
    return grpc.secure_channel(address, grpc.ssl_channel_credentials(root_certificates=roots), options)
