"""`kiteway verify` on both engines, through Kiteway."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from kiteway.demo.guide import HOST
from kiteway.milvus.verify import Target, VerifyReport, verify
from tests.lite.site import site

pytestmark = [pytest.mark.e2e, pytest.mark.lite]


def verified(*, old: bool) -> VerifyReport:
    """Verify Milvus Lite through Kiteway, the old or the new one."""
    with site(old=old) as place, place.kiteway("data") as (at, _):
        target = Target(host="127.0.0.1", port=int(at.uri.rpartition(":")[2]), ca=Path(at.ca), server_name=HOST)
        return asyncio.run(verify(target))


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
