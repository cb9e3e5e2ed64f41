"""Which endpoints get calls, on a real Envoy."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent import futures
from pathlib import Path

import grpc
import pytest

from kiteway.model import Endpoint, HealthCheckType
from tests.e2e.traffic import (
    INSERT,
    OK_RESULT,
    SEARCH,
    Backend,
    call,
    eventually,
    failure,
    health_check,
    model,
    pool,
    running,
)

pytestmark = pytest.mark.e2e


def test_the_check_goes_on_without_traffic(tmp_path: Path, free_port: Callable[[], int]) -> None:
    """Without any call, Envoy notices that an endpoint becomes unhealthy, and that it is healthy again."""
    with Backend() as only, running(tmp_path, free_port) as proxy:
        proxy.apply(model(pool(health_check=health_check())), [only.endpoint()])
        eventually(lambda: only.checks >= 3, "checks without traffic")
        only.healthy = False
        eventually(lambda: proxy.failing() == {only.port: frozenset({"failed_active_health_check"})}, "unhealthy")
        only.healthy = True
        eventually(lambda: proxy.failing() == {}, "healthy again")


def test_an_endpoint_that_fails_its_check_gets_no_call(tmp_path: Path, free_port: Callable[[], int]) -> None:
    """After the failed check the endpoint gets neither reads nor writes, and no call fails."""
    with Backend() as sick, Backend() as well, running(tmp_path, free_port) as proxy:
        proxy.apply(model(pool(health_check=health_check())), [sick.endpoint(), well.endpoint()])
        sick.healthy = False
        eventually(lambda: sick.port in proxy.failing(), "the check fails")
        sick.calls.clear()
        with proxy.channel() as channel:
            for _ in range(30):
                assert call(channel, SEARCH) == call(channel, INSERT) == OK_RESULT
        assert sick.calls == []


def test_all_unhealthy_is_answered_at_once(tmp_path: Path, free_port: Callable[[], int]) -> None:
    """When every endpoint fails its check, no endpoint is called: a call that hangs would be worse."""
    with Backend(healthy=False) as first, Backend(healthy=False) as second, running(tmp_path, free_port) as proxy:
        proxy.apply(model(pool(health_check=health_check())), [first.endpoint(), second.endpoint()])
        with proxy.channel() as channel:
            assert failure(channel, SEARCH).code() is grpc.StatusCode.UNAVAILABLE
        assert first.calls == second.calls == []


def test_healthy_on_9091_but_dead_on_19530(tmp_path: Path, free_port: Callable[[], int]) -> None:
    """
    An endpoint whose check passes while its serving port refuses connections is ejected, and a passing check
    does not end the ejection; no call fails, and the endpoint serves once it listens again.
    """
    with Backend() as half, Backend() as well, running(tmp_path, free_port) as proxy:
        proxy.apply(model(pool(health_check=health_check())), [half.endpoint(), well.endpoint()])
        half.stop_serving()
        with proxy.channel() as channel:

            def dead() -> bool:
                assert call(channel, SEARCH) == call(channel, INSERT) == OK_RESULT
                return half.port in proxy.failing()

            eventually(dead, "the refusing endpoint is ejected")
            checks = half.checks
            eventually(lambda: half.checks > checks + 1, "further checks pass")
            assert proxy.failing() == {half.port: frozenset({"failed_outlier_check"})}

            half.serve_again()
            half.calls.clear()
            eventually(lambda: call(channel, SEARCH) == OK_RESULT and half.calls, "it gets calls again")


STOPPABLE = """
import sys, time
from tests.e2e.traffic import Backend
with Backend() as backend:
    print(backend.port, backend.health_port, flush=True)
    time.sleep(600)
"""


@pytest.fixture
def stoppable() -> Iterator[tuple[subprocess.Popen[str], Endpoint]]:
    """A backend in a separate process."""
    with subprocess.Popen([sys.executable, "-c", STOPPABLE], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        port, health = map(int, process.stdout.readline().split())
        yield process, Endpoint("127.0.0.1", port, health_port=health)
        process.kill()


def test_a_stopped_endpoint_loses_its_calls_to_another(
    tmp_path: Path, free_port: Callable[[], int], stoppable: tuple[subprocess.Popen[str], Endpoint]
) -> None:
    """
    After SIGSTOP connections stay open without answers: no further call goes there once the check fails, and
    reads that hang there are answered by another endpoint when a keepalive ping is not answered.
    """
    process, endpoint = stoppable
    with Backend() as well, running(tmp_path, free_port) as proxy, proxy.channel() as channel:
        proxy.apply(model(pool(health_check=health_check(), milvus=True)), [endpoint, well.endpoint()])
        call(channel, SEARCH)
        process.send_signal(signal.SIGSTOP)
        stub: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(SEARCH)
        calls = [stub.future(b"", timeout=30) for _ in range(50)]
        assert {pending.result() for pending in calls} == {OK_RESULT}
        assert proxy.stat("upstream_rq_retry_success") > 0
        assert proxy.stat("http2.keepalive_timeout") > 0

        process.send_signal(signal.SIGCONT)
        eventually(lambda: proxy.failing() == {}, "it is back")


def test_without_a_check_the_connection_itself_is_checked(tmp_path: Path, free_port: Callable[[], int]) -> None:
    """A TCP check uses only the serving port."""
    with Backend(healthy=False) as only, running(tmp_path, free_port) as proxy:
        check = health_check(type=HealthCheckType.TCP)
        proxy.apply(model(pool(health_check=check)), [only.endpoint(health=False)])
        with proxy.channel() as channel:
            assert call(channel, SEARCH) == OK_RESULT
        only.stop_serving()
        eventually(lambda: proxy.failing().keys() == {only.port}, "the port is closed")


def test_an_endpoint_that_is_removed_gets_no_more_calls(tmp_path: Path, free_port: Callable[[], int]) -> None:
    """An endpoint that is removed from discovery is removed from Envoy at once, healthy or not."""
    with Backend() as gone, Backend() as stays, running(tmp_path, free_port) as proxy, proxy.channel() as channel:
        load_balancer = model(pool(health_check=health_check()))
        proxy.apply(load_balancer, [gone.endpoint(), stays.endpoint()])
        eventually(lambda: call(channel, SEARCH) == OK_RESULT and gone.calls, "both get calls")
        proxy.apply(load_balancer, [stays.endpoint()])
        assert [e.address for e in proxy.cluster().endpoints] == [f"127.0.0.1:{stays.port}"]
        before = len(gone.calls)
        assert {call(channel, SEARCH) for _ in range(20)} == {OK_RESULT}
        assert len(gone.calls) == before


def test_a_slow_endpoint_gets_fewer_calls(tmp_path: Path, free_port: Callable[[], int]) -> None:
    """A slow endpoint, such as one that has just started, gets a fraction of the calls."""

    def slow(_request: bytes, _context: grpc.ServicerContext) -> bytes:
        time.sleep(0.1)
        return OK_RESULT

    with Backend() as fast, Backend(slow) as starting, running(tmp_path, free_port) as proxy:
        proxy.apply(model(), [fast.endpoint(), starting.endpoint()])
        with proxy.channel() as channel, futures.ThreadPoolExecutor(8) as clients:
            list(clients.map(lambda _: call(channel, SEARCH), range(400)))

    assert 0 < len(starting.calls) < len(fast.calls) / 2
