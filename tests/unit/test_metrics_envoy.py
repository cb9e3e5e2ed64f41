"""Which of Envoy's statistics are used, and the files of the access log."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import cast

import pytest

from kiteway.controlplane.access_log import AccessLog
from kiteway.envoy.admin import AdminClient, AdminUnavailableError
from kiteway.envoy.statistics import SHOWN, kept
from kiteway.metrics.envoy import labelled
from kiteway.model import PoolKey
from kiteway.rotation import KEPT_FILES


@pytest.mark.parametrize(
    "name",
    [
        "http.https.downstream_rq_total",
        "cluster.pool/default/milvus/19530/grpc.upstream_rq_retry",
        "cluster.pool/default/milvus/19530/rest.health_check.failure",
        "cluster.pool/default/milvus/19530/grpc.kiteway.requests_total.rpc.Search",
        "cluster.pool/default/milvus/19530/rest.kiteway.request_time",
        "cluster.pool/default/milvus/19530/grpc.kiteway.not_ready_total.rpc.Search",
        "listener.127.0.0.1_8443.downstream_cx_overflow",
        "listener.[__1]_8443.downstream_cx_overflow",
    ],
)
def test_useful_statistics_are_on_the_page(name: str) -> None:
    """Statistics of public listeners, pools and the filter are on the page."""
    assert re.fullmatch(SHOWN, name)
    assert is_kept(name)


@pytest.mark.parametrize(
    "name",
    [
        "http.admin.downstream_rq_total",
        "cluster.kiteway.ads.upstream_rq_total",
        "cluster.pool/default/milvus/19530/grpc.external.upstream_rq_time",
        "listener.admin.downstream_cx_overflow",
        "vhost.any.vcluster.other.upstream_rq_retry",
    ],
)
def test_the_rest_is_not(name: str) -> None:
    """Envoy's internal statistics are not."""
    assert not re.fullmatch(SHOWN, name)


def is_kept(name: str) -> bool:
    """Return whether Envoy keeps a statistic."""
    patterns = [each["safe_regex"]["regex"] for each in kept()["inclusion_list"]["patterns"]]
    return any(re.fullmatch(pattern, name) for pattern in patterns)


@pytest.mark.parametrize(
    "name",
    [
        "cluster.pool/default/milvus/19530/grpc.ssl.fail_verify_san",
        "cluster.kiteway.ads.upstream_cx_rx_bytes_total",
        "listener_manager.workers_started",
        "cluster_manager.active_clusters",
    ],
)
def test_statistics_of_status_and_start_are_counted(name: str) -> None:
    """Envoy counts them, and they are not on the page."""
    assert is_kept(name)
    assert not re.fullmatch(SHOWN, name)


@pytest.mark.parametrize(
    "name",
    [
        "cluster.pool/default/milvus/19530/grpc.upstream_rq_completed",
        "cluster.pool/default/milvus/19530/grpc.http2.outbound_frames_active",
        "http.https.rq_total",
        "listener.127.0.0.1_8443.http.https.downstream_rq_2xx",
        "vhost.any.vcluster.other.upstream_rq_retry",
    ],
)
def test_nothing_else_is_kept_of_calls(name: str) -> None:
    """Each statistic would make every call more expensive."""
    assert not is_kept(name)


async def _collect(pieces: Iterable[bytes], *pools: PoolKey) -> str:
    async def stream() -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece

    return b"".join([line async for line in labelled(stream(), pools)]).decode()


@pytest.mark.anyio
@pytest.mark.parametrize("size", [1, 7, 4096])
async def test_the_pool_is_a_label(size: int) -> None:
    """The counters of two pools become one metric with a label each, in whatever pieces the page arrives."""
    page = (
        b"# TYPE envoy_cluster_pool_a_b_c_1_grpc_kiteway_not_ready_total counter\n"
        b'envoy_cluster_pool_a_b_c_1_grpc_kiteway_not_ready_total{rpc="Search"} 2\n'
        b"# TYPE envoy_cluster_pool_a_d_2_grpc_kiteway_not_ready_total counter\n"
        b'envoy_cluster_pool_a_d_2_grpc_kiteway_not_ready_total{rpc="Query"} 3\n'
        b"# TYPE envoy_cluster_kiteway_responses_total_status_OK counter\n"
        b'envoy_cluster_kiteway_responses_total_status_OK{envoy_cluster_name="pool/a/d/2/grpc"} 4\n'
        b"# TYPE envoy_cluster_pool_a_d_2_rest_kiteway_responses_total counter\n"
        b'envoy_cluster_pool_a_d_2_rest_kiteway_responses_total{status="5xx"} 5\n'
        b"# TYPE envoy_server_live gauge\nenvoy_server_live{} 1\n"
    )
    pieces = [page[i : i + size] for i in range(0, len(page), size)]
    assert await _collect(pieces, PoolKey("a", "b-c", 1), PoolKey("a", "d", 2)) == (
        "# TYPE envoy_cluster_kiteway_not_ready_total counter\n"
        'envoy_cluster_kiteway_not_ready_total{envoy_cluster_name="pool/a/b-c/1/grpc",rpc="Search"} 2\n'
        'envoy_cluster_kiteway_not_ready_total{envoy_cluster_name="pool/a/d/2/grpc",rpc="Query"} 3\n'
        "# TYPE envoy_cluster_kiteway_responses_total counter\n"
        'envoy_cluster_kiteway_responses_total{envoy_cluster_name="pool/a/d/2/grpc",status="OK"} 4\n'
        'envoy_cluster_kiteway_responses_total{envoy_cluster_name="pool/a/d/2/rest",status="5xx"} 5\n'
        "# TYPE envoy_server_live gauge\nenvoy_server_live{} 1\n"
    )


class _Admin:
    """An Envoy that opens its log anew, or does not answer."""

    def __init__(self) -> None:
        self.there = True
        self.reopened = 0

    async def reopen_logs(self) -> None:
        if not self.there:
            raise AdminUnavailableError("gone")
        self.reopened += 1


def _files(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


@pytest.mark.anyio
async def test_a_full_log_is_moved_and_a_bounded_number_kept(tmp_path: Path) -> None:
    """There are at most the log and its four predecessors, readable for the owner only, newest first."""
    path, admin = tmp_path / "access.log", _Admin()
    log = AccessLog(path, cast("AdminClient", admin), max_bytes=10)
    for number in range(10):
        path.write_text(f"{number:011d}")
        await log.look()
    files = _files(tmp_path)
    assert [f.name for f in files] == ["access.log", *(f"access.log.{n}" for n in range(1, KEPT_FILES + 1))]
    assert [f.read_text() for f in files] == ["", "00000000009", "00000000008", "00000000007", "00000000006"]
    assert path.stat().st_mode & 0o777 == 0o600
    assert admin.reopened == 10


@pytest.mark.anyio
async def test_an_envoy_that_does_not_answer_is_asked_again(tmp_path: Path) -> None:
    """While Envoy cannot open the new file it writes to the renamed one, which is not renamed a second time."""
    path, admin = tmp_path / "access.log", _Admin()
    log = AccessLog(path, cast("AdminClient", admin), max_bytes=10)
    path.write_text("first and full")
    admin.there = False
    for _ in range(3):
        await log.look()
    assert not (tmp_path / "access.log.2").exists()
    admin.there = True
    await log.look()
    await log.look()
    assert admin.reopened == 1


@pytest.mark.anyio
async def test_a_small_log_is_left_alone(tmp_path: Path) -> None:
    """A log below the limit is not renamed."""
    path, admin = tmp_path / "access.log", _Admin()
    log = AccessLog(path, cast("AdminClient", admin), max_bytes=10)
    path.write_text("small")
    await log.look()
    assert (path.read_text(), admin.reopened) == ("small", 0)


@pytest.mark.anyio
async def test_a_queue_is_on_the_page_as_long_as_its_pool_exists() -> None:
    """Envoy never drops what it has counted of a queue, whether the policy is of the Service or of an Ingress."""
    lines = [
        b'envoy_kiteway_queued{pool="a/d/2"} 1\n',
        b'envoy_kiteway_queued{pool="a/ingress, a/d/2"} 2\n',
        b'envoy_kiteway_queued{pool="a/gone/2"} 0\n',
        b'envoy_kiteway_queue_time_bucket{pool="a/ingress, a/gone/2",le="0.5"} 0\n',
        b'envoy_kiteway_refused_total{reason="waited"} 3\n',
    ]
    assert await _collect(lines, PoolKey("a", "d", 2)) == b"".join([*lines[:2], lines[4]]).decode()
