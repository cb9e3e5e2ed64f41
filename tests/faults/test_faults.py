"""What users are told of their faults is what docs/reference/faults.md says."""

from __future__ import annotations

import importlib.metadata
import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from kiteway.filter import filter_path, missing_reason
from tests.faults import asking
from tests.faults.asking import Said
from tests.faults.faults import FAULTS, Fault
from tests.faults.page import CHINESE, ENGLISH, page, without_seconds
from tests.faults.site import Site, running_site

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.milvus,
    pytest.mark.faults,
    pytest.mark.timeout(900),
    pytest.mark.skipif(filter_path() is None, reason=missing_reason()),
]

DOCS = Path(__file__).resolve().parents[2] / "docs" / "reference"
PAGES = ((ENGLISH, DOCS / "faults.md"), (CHINESE, DOCS / "faults.zh.md"))
OLDER = Path(os.environ.get("KITEWAY_OLDER_PYMILVUS", ""))
"""The folder of PyMilvus 2, which `make faults` installs."""
TOGETHER = 2
"""Faults that are tried at a time: one on each core of a small machine."""


@pytest.fixture(scope="module")
def site(free_port: Callable[[], int]) -> Iterator[Site]:
    """Start everything, for all faults."""
    if not (OLDER / "pymilvus").is_dir():
        pytest.skip("PyMilvus 2 is not there: make faults")
    with running_site(free_port) as started:
        yield started


def ask(site: Site, fault: Fault) -> Mapping[str, Said]:
    """Return what each program says of a fault, by its name. Calls come first: some verdicts need a failed one."""
    said = {
        "pymilvus 2": asking.pymilvus(site, fault, OLDER),
        "pymilvus 3": asking.pymilvus(site, fault, None),
        "kiteway verify": asking.verify(site, fault),
        "kiteway doctor": asking.doctor_address(site, fault),
    }
    if fault.objects:
        said["kiteway doctor -f"] = asking.doctor_files(site, fault)
    return said | {"kiteway status": asking.status(site, fault)}


def test_what_is_said_of_each_fault(site: Site, pytestconfig: pytest.Config) -> None:
    """
    Every fault is named by `verify`, and by PyMilvus or by one of `doctor` and `status`; the pages have their words.

    ``--update-golden`` writes the pages.
    """
    with ThreadPoolExecutor(TOGETHER) as executor:
        answers = list(executor.map(lambda fault: ask(site, fault), FAULTS))

    [older] = OLDER.glob("pymilvus-*.dist-info")
    versions = (older.name.removeprefix("pymilvus-").removesuffix(".dist-info"), importlib.metadata.version("pymilvus"))
    for words, path in PAGES:
        made = page(words, versions, FAULTS, answers)
        if pytestconfig.getoption("--update-golden"):
            path.write_text(made)
        assert without_seconds(made) == without_seconds(path.read_text())

    assert len(FAULTS) >= 20
    for fault, said in zip(FAULTS, answers, strict=True):
        assert said["kiteway verify"].text, fault.key
        if fault.objects:
            assert said["kiteway doctor -f"].text or said["kiteway status"].text, fault.key
