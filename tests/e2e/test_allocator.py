"""The per-CPU caches of Envoy's allocator."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import httpx2
import pytest

from tests.e2e.traffic import Backend, Proxy, call, model, pool, running


def _cached_by_cpu(proxy: Proxy) -> int:
    """Return the bytes that Envoy's allocator holds ready by CPU."""
    transport = httpx2.HTTPTransport(uds=str(proxy.instance.admin_socket))
    with httpx2.Client(transport=transport, base_url="http://envoy") as admin:
        text = admin.get("/memory/tcmalloc").text
    found = re.search(r"(\d+) \([ \d.]+MiB\) Bytes in per-CPU cache freelist", text)
    assert found is not None, text[:2000]
    return int(found[1])


@pytest.mark.parametrize("asked", [None, "glibc.pthread.rseq=1"])
def test_it_keeps_memory_by_cpu_unless_asked_not_to(
    tmp_path: Path, free_port: Callable[[], int], monkeypatch: pytest.MonkeyPatch, asked: str | None
) -> None:
    """
    The allocator has per-CPU caches only if it registers restartable sequences; a user's own tunables have
    priority.
    """
    if asked is None:
        monkeypatch.delenv("GLIBC_TUNABLES", raising=False)
    else:
        monkeypatch.setenv("GLIBC_TUNABLES", asked)
    with Backend() as backend, running(tmp_path, free_port) as proxy, proxy.channel() as channel:
        proxy.apply(model(pool()), [backend.endpoint()])
        call(channel, "/milvus.proto.milvus.MilvusService/Search")
        assert (_cached_by_cpu(proxy) > 0) == (asked is None)
