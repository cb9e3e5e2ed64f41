"""Hedging on a real Envoy: reads go to a second endpoint while the first has not answered."""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent import futures
from pathlib import Path

import grpc
import pytest

from kiteway.model import LoadBalancer, Policy
from tests.e2e.traffic import (
    INSERT,
    NOT_READY_RESULT,
    OK_RESULT,
    SEARCH,
    Backend,
    call,
    eventually,
    failure,
    host,
    model,
    route,
    running,
)

pytestmark = pytest.mark.e2e

DELAY = 0.1
CALLS = 12


def hedged(delay: float | None) -> LoadBalancer:
    """Return a load balancer whose reads go to a second endpoint after ``delay`` seconds."""
    return model(None, host("*", route(policy=Policy(hedging_delay=delay))))


@pytest.fixture
def release() -> Iterator[threading.Event]:
    """Return what ends the waiting of a backend that waits; it is set when the test is over."""
    event = threading.Event()
    yield event
    event.set()


def waits(release: threading.Event) -> Callable[[bytes, grpc.ServicerContext], bytes]:
    """Return an answer that comes when it is released."""

    def answer(_request: bytes, _context: grpc.ServicerContext) -> bytes:
        release.wait(60)
        return OK_RESULT

    return answer


def test_a_read_goes_to_a_second_endpoint_and_the_first_answer_counts(
    tmp_path: Path, free_port: Callable[[], int], release: threading.Event
) -> None:
    """An endpoint that does not answer delays no read; its attempt goes on until the other one has answered."""
    with Backend(waits(release)) as slow, Backend() as good, running(tmp_path, free_port) as proxy:
        proxy.apply(hedged(DELAY), [slow.endpoint(), good.endpoint()])
        with proxy.channel() as channel:
            for _ in range(CALLS):
                assert call(channel, SEARCH) == OK_RESULT
            eventually(lambda: slow.count("Search") > 0, "the slow endpoint was tried")

            assert good.count("Search") == CALLS


@pytest.mark.parametrize(
    ("method", "delay"), [(INSERT, DELAY), (SEARCH, None)], ids=["a write", "a read, where it is not asked for"]
)
def test_nothing_else_goes_to_two_endpoints(
    tmp_path: Path, free_port: Callable[[], int], release: threading.Event, method: str, delay: float | None
) -> None:
    """A write, and a read without a hedging delay, waits for the answer of one endpoint, however long that takes."""
    name = method.rpartition("/")[2]
    with Backend(waits(release)) as slow, running(tmp_path, free_port) as proxy:
        proxy.apply(hedged(delay), [slow.endpoint()])
        with proxy.channel() as channel:
            done = threading.Thread(target=call, args=(channel, method))
            done.start()
            eventually(lambda: slow.count(name) == 1, "the call has arrived")
            time.sleep(5 * DELAY)  # what must not happen in this time cannot be waited for
            assert slow.count(name) == 1
            release.set()
            done.join()


def test_a_read_that_takes_long_everywhere_is_worked_on_three_times_at_most(
    tmp_path: Path, free_port: Callable[[], int], release: threading.Event
) -> None:
    """However long a read takes, there are at most three attempts, and the client gets one answer."""
    with Backend(waits(release)) as one, Backend(waits(release)) as two, running(tmp_path, free_port) as proxy:
        proxy.apply(hedged(DELAY), [one.endpoint(), two.endpoint()])
        with proxy.channel() as channel:
            got: list[bytes] = []
            done = threading.Thread(target=lambda: got.append(call(channel, SEARCH)))
            done.start()
            eventually(lambda: one.count("Search") + two.count("Search") == 3, "there are two more tries")
            time.sleep(5 * DELAY)
            assert one.count("Search") + two.count("Search") == 3
            assert {one.count("Search"), two.count("Search")} == {1, 2}
            release.set()
            done.join()

    assert got == [OK_RESULT]


def test_an_endpoint_that_is_not_ready_does_not_beat_one_that_is_slow(
    tmp_path: Path, free_port: Callable[[], int]
) -> None:
    """Milvus's "not ready" does not count as an answer, even if it is the first."""

    def late(_request: bytes, _context: grpc.ServicerContext) -> bytes:
        time.sleep(3 * DELAY)
        return OK_RESULT

    with Backend(late) as slow, Backend(NOT_READY_RESULT) as starting, running(tmp_path, free_port) as proxy:
        proxy.apply(hedged(DELAY), [slow.endpoint(), starting.endpoint()])
        with proxy.channel() as channel:
            assert {call(channel, SEARCH) for _ in range(6)} == {OK_RESULT}


def test_without_a_ready_endpoint_a_read_is_unavailable(tmp_path: Path, free_port: Callable[[], int]) -> None:
    """If no endpoint is ready, the client gets UNAVAILABLE and no message."""
    with Backend(NOT_READY_RESULT) as one, Backend(NOT_READY_RESULT) as two, running(tmp_path, free_port) as proxy:
        proxy.apply(hedged(DELAY), [one.endpoint(), two.endpoint()])
        with proxy.channel() as channel:
            error = failure(channel, SEARCH)
            assert call(channel, INSERT) == NOT_READY_RESULT, "what is not hedged gets Milvus's own answer"

    assert error.code() is grpc.StatusCode.UNAVAILABLE
    assert "no endpoint that was asked is ready" in (error.details() or "")


def test_many_reads_get_one_right_answer_each(tmp_path: Path, free_port: Callable[[], int]) -> None:
    """
    With endpoints that are fast, slow and not ready in turn, and eight clients, each call gets the answer to
    its request.
    """
    chance = random.Random(1)
    given: list[bytes] = []

    def moody(request: bytes, _context: grpc.ServicerContext) -> bytes:
        time.sleep(chance.choice([0, 0, 0, 0.02, 0.06]))
        answer = NOT_READY_RESULT if chance.random() < 0.1 else OK_RESULT + request
        given.append(answer)
        return answer

    def calls(number: int) -> int:
        right = 0
        with proxy.channel() as channel:
            for turn in range(60):
                request = b"\x12\x08%8d" % (number * 1000 + turn)
                right += call(channel, SEARCH, request) == OK_RESULT + request
        return right

    with contextlib.ExitStack() as stack:
        backends = [stack.enter_context(Backend(moody)) for _ in range(3)]
        steady = stack.enter_context(Backend(lambda request, _: OK_RESULT + request))
        proxy = stack.enter_context(running(tmp_path, free_port))
        proxy.apply(hedged(0.02), [each.endpoint() for each in (*backends, steady)])
        with futures.ThreadPoolExecutor(8) as executor:
            right = list(executor.map(calls, range(8)))
        answers = steady.count("Search") + len(given) - given.count(NOT_READY_RESULT)

    assert right == [60] * 8
    assert given.count(NOT_READY_RESULT) > 0
    assert answers > 8 * 60, "some were worked on by two"
