"""Streams through Kiteway to the transport of Milvus 2.6 and 3.x, which ``tests/standin`` stands in for."""

from __future__ import annotations

import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest

from kiteway.envoy.xds import policy
from kiteway.model import Policy
from tests.e2e.traffic import SEARCH, SERVICE, eventually, failure, health_check, host, model, pool, route, running
from tests.support.standin import stand_in

pytestmark = pytest.mark.e2e

TOKEN = "root:s3cret"


def test_streams_are_authenticated_by_milvus(tmp_path: Path, free_port: Callable[[], int]) -> None:
    """A stream's credentials reach Milvus, and its refusal the client; the health check needs none."""
    with (
        stand_in(f"-token={TOKEN}", "-admin=root:Milvus") as milvus,
        running(tmp_path, free_port) as proxy,
        proxy.channel() as channel,
    ):
        replicated = host("*", route(policy=Policy(allow_replication=True)))
        proxy.apply(model(pool(health_check=health_check()), replicated), [milvus.endpoint])
        metadata = (("authorization", b64encode(TOKEN.encode()).decode()),)
        eventually(lambda: not proxy.failing(), "it passes the check")

        dumped = list(_stream(channel, "DumpMessages")(b"", metadata=metadata, timeout=10))
        assert dumped == [b"\x08\x01", b"\x08\x02", b"\x08\x03"]
        both: grpc.StreamStreamMultiCallable[bytes, bytes] = channel.stream_stream(f"{SERVICE}/CreateReplicateStream")
        assert list(both(iter([b"a", b"b"]), metadata=metadata, timeout=10)) == [b"a", b"b"]
        for wrong in ((), (("authorization", b64encode(b"root:x").decode()),)):
            with pytest.raises(grpc.RpcError) as refused:
                list(_stream(channel, "DumpMessages")(b"", metadata=wrong, timeout=10))
            assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
        assert failure(channel, SEARCH).code() is grpc.StatusCode.UNAUTHENTICATED


def test_replication_is_refused_unless_a_policy_allows_it(tmp_path: Path, free_port: Callable[[], int]) -> None:
    """
    Milvus gets no stream of replication: versions before milvus#52608 ask for no credentials there. The client is told what
    allows it.
    """
    with stand_in() as milvus, running(tmp_path, free_port) as proxy, proxy.channel() as channel:
        proxy.apply(model(), [milvus.endpoint])
        both: grpc.StreamStreamMultiCallable[bytes, bytes] = channel.stream_stream(f"{SERVICE}/CreateReplicateStream")
        for answers in (_stream(channel, "DumpMessages")(b"", timeout=10), both(iter([b"a"]), timeout=10)):
            with pytest.raises(grpc.RpcError) as refused:
                list(answers)
            assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED
            assert "allowReplication: true" in (refused.value.details() or "")
        assert milvus.seen()["connections"] == 0


def test_a_new_stream_is_not_cut_by_the_limit_of_a_call(
    tmp_path: Path, free_port: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    A stream that is not in the catalogue lives as long as it is not silent for an hour, scaled to 2 s. A call that is silent
    for so long ends with DEADLINE_EXCEEDED, and is not sent again.
    """
    monkeypatch.setattr(policy, "_LONG", 2.0)
    policy.grpc_policies.cache_clear()
    try:
        with stand_in("-search=20s") as milvus, running(tmp_path, free_port) as proxy, proxy.channel() as channel:
            proxy.apply(model(), [milvus.endpoint])
            both: grpc.StreamStreamMultiCallable[bytes, bytes] = channel.stream_stream(f"{SERVICE}/SomeNewStream")
            answers = both(_paced(5.0), timeout=60)
            assert list(answers) == [b"more"] * 10

            error = failure(channel, f"{SERVICE}/LoadCollection", timeout=30)
            assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
            assert "did not answer in time" in (error.details() or "")
            assert proxy.stat("upstream_rq_retry") == 0
    finally:
        policy.grpc_policies.cache_clear()


def _paced(seconds: float) -> Iterator[bytes]:
    """Yield ten messages in so many seconds."""
    began = time.monotonic()
    for number in range(10):
        while time.monotonic() < began + seconds * number / 10:
            time.sleep(0.02)
        yield b"more"


def _stream(channel: grpc.Channel, method: str) -> grpc.UnaryStreamMultiCallable[bytes, bytes]:
    stub: grpc.UnaryStreamMultiCallable[bytes, bytes] = channel.unary_stream(f"{SERVICE}/{method}")
    return stub
