"""`kiteway verify` on both engines, through their proxies."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

import pytest

from kiteway.milvus.embedded import LiteCluster, LiteMilvus
from kiteway.milvus.verify import Target, VerifyReport, verify
from tests.lite.old import OldLite
from tests.support.kiteway import tls_files

pytestmark = [pytest.mark.e2e, pytest.mark.lite]


def verified(*, old: bool) -> VerifyReport:
    """Verify Milvus Lite, the old or the new one."""

    async def work(folder: Path) -> VerifyReport:
        tls = tls_files(folder, "backend", "localhost")
        store = OldLite(folder) if old else LiteMilvus(folder / "store")
        async with LiteCluster(folder, store, tls=tls) as cluster:
            port = cluster.endpoints[0].port
            return await verify(Target(host="127.0.0.1", port=port, ca=tls.cert, server_name="localhost"))

    with tempfile.TemporaryDirectory(prefix="kw-") as name:
        return asyncio.run(work(Path(name)))


def test_the_new_engine_is_verified() -> None:
    """All steps pass, and the report says which version it is."""
    report = verified(old=False)
    assert report.failure is None
    assert report.verified
    assert report.versions.milvus == "milvus_lite-3.2.2"


def test_the_old_engine_is_verified_without_a_version() -> None:
    """All steps pass on the C++ core, which has no GetVersion; the report says so instead of a version."""
    report = verified(old=True)
    assert report.failure is None
    assert report.verified
    assert report.versions.milvus is None
    assert report.steps[0].detail == "connections.connect: a Milvus without GetVersion"
    assert report.steps[1].detail == "MilvusClient: a Milvus without GetVersion"
