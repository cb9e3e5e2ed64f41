"""In-band "not ready" of Milvus, with the configuration that Kiteway gives to Envoy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import grpc
import pytest

from kiteway import filter as kiteway_filter
from tests.e2e.traffic import (
    INSERT,
    NOT_READY_RESULT,
    OK_RESULT,
    SEARCH,
    STARTING_RESULT,
    Backend,
    call,
    eventually,
    failure,
    health_check,
    model,
    pool,
    running,
)

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(kiteway_filter.filter_path() is None, reason=kiteway_filter.missing_reason()),
]

REFUSAL = "kiteway: no endpoint that was asked is ready; nothing was done. Try again."


def test_reads_go_elsewhere_and_the_endpoint_is_ejected(tmp_path: Path, free_port: Callable[[], int]) -> None:
    """No read gets "not ready" while another endpoint serves; after three in a row the endpoint gets no calls."""
    with Backend(NOT_READY_RESULT) as bad, Backend() as good, running(tmp_path, free_port) as proxy:
        proxy.apply(model(pool()), [bad.endpoint(), good.endpoint()])
        with proxy.channel() as channel:

            def ejected() -> bool:
                assert call(channel, SEARCH) == OK_RESULT
                return proxy.failing() == {bad.port: frozenset({"failed_outlier_check"})}

            eventually(ejected, "the endpoint is ejected")

        assert len(bad.calls) == 3


def test_a_write_gets_the_exact_answer_of_milvus_once(tmp_path: Path, free_port: Callable[[], int]) -> None:
    """A write that gets "not ready" is not sent again: the client gets Milvus's bytes, with status OK."""
    with Backend(NOT_READY_RESULT) as first, Backend(NOT_READY_RESULT) as second, running(tmp_path, free_port) as proxy:
        proxy.apply(model(pool()), [first.endpoint(), second.endpoint()])
        with proxy.channel() as channel:
            for sent in range(1, 11):
                assert call(channel, INSERT) == NOT_READY_RESULT
                assert len(first.calls) + len(second.calls) == sent


def test_a_proxy_that_is_starting_costs_no_write(tmp_path: Path, free_port: Callable[[], int]) -> None:
    """A write that a proxy refuses because it still starts was not begun: it goes to another endpoint."""
    with Backend(STARTING_RESULT) as starting, Backend() as good, running(tmp_path, free_port) as proxy:
        proxy.apply(model(pool()), [starting.endpoint(), good.endpoint()])
        with proxy.channel() as channel:
            while not starting.count("Insert"):
                assert call(channel, INSERT) == OK_RESULT


def test_a_write_gets_the_exact_answer_of_milvus_when_all_are_starting(
    tmp_path: Path, free_port: Callable[[], int]
) -> None:
    """If every endpoint still starts, a write gets Milvus's bytes, with status OK, after at most three attempts."""
    with Backend(STARTING_RESULT) as first, Backend(STARTING_RESULT) as second, running(tmp_path, free_port) as proxy:
        proxy.apply(model(pool()), [first.endpoint(), second.endpoint()])
        with proxy.channel() as channel:
            assert call(channel, INSERT) == STARTING_RESULT
            assert first.count("Insert") >= 1
            assert second.count("Insert") >= 1
            assert len(first.calls) + len(second.calls) <= 3


def test_one_is_left_when_all_are_not_ready(tmp_path: Path, free_port: Callable[[], int]) -> None:
    """If every endpoint says "not ready", reads get UNAVAILABLE, which clients repeat by themselves."""
    with (
        Backend(NOT_READY_RESULT) as first,
        Backend(NOT_READY_RESULT) as second,
        Backend(NOT_READY_RESULT) as third,
        running(tmp_path, free_port) as proxy,
    ):
        proxy.apply(model(pool()), [first.endpoint(), second.endpoint(), third.endpoint()])
        with proxy.channel() as channel:

            def one_ejected() -> bool:
                assert failure(channel, SEARCH).details() == REFUSAL
                return len(proxy.failing()) == 1

            eventually(one_ejected, "one of three is ejected")
            # Half at the most: two of three would be more. For moments it is none: an ejection ends, and the next call
            # begins another one.
            seen = [(failure(channel, SEARCH).code(), len(proxy.failing()) <= 1) for _ in range(30)]
            assert set(seen) == {(grpc.StatusCode.UNAVAILABLE, True)}


def test_a_single_endpoint_is_never_ejected(tmp_path: Path, free_port: Callable[[], int]) -> None:
    """A single Milvus that is not ready is never ejected, and serves as soon as it is ready."""
    with Backend(NOT_READY_RESULT) as only, running(tmp_path, free_port) as proxy:
        proxy.apply(model(pool()), [only.endpoint()])
        with proxy.channel() as channel:
            assert {failure(channel, SEARCH).details() for _ in range(10)} == {REFUSAL}
            only.answer = OK_RESULT
            assert call(channel, SEARCH) == OK_RESULT


def test_the_last_one_that_passes_its_check_comes_back_soon(tmp_path: Path, free_port: Callable[[], int]) -> None:
    """
    If one endpoint fails its check and the only other is ejected for "not ready", no endpoint is left. The
    ejection is short, so calls are served again without help.
    """
    with Backend(healthy=False) as sick, Backend(NOT_READY_RESULT) as starting, running(tmp_path, free_port) as proxy:
        proxy.apply(model(pool(health_check=health_check())), [sick.endpoint(), starting.endpoint()])
        eventually(lambda: set(proxy.failing()) == {sick.port}, "the check of one fails")
        with proxy.channel() as channel:
            for _ in range(3):
                call(channel, INSERT)
            eventually(lambda: set(proxy.failing()) == {sick.port, starting.port}, "the other is ejected")
            assert failure(channel, SEARCH).code() is grpc.StatusCode.UNAVAILABLE

            starting.answer = OK_RESULT
            eventually(lambda: starting.port not in proxy.failing(), "the ejection ends")
            assert call(channel, SEARCH) == OK_RESULT
        assert sick.calls == []
