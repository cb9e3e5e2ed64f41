"""Other endpoints in the place of all: the filter of a running Envoy drops what it keeps for the pool."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from kiteway.filter import filter_path, missing_reason
from tests.e2e.test_traffic_metrics import MANIFESTS
from tests.e2e.traffic import Backend
from tests.support.kiteway import Running, up, wait_until
from tests.support.manifests import endpoint_slice, milvus_policy

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(180),
    pytest.mark.skipif(filter_path() is None, reason=missing_reason()),
]

SERVICE = "my-release-milvus"


@pytest.fixture
def folder() -> Iterator[Path]:
    """Return a folder whose path is short enough for sockets."""
    made = Path(tempfile.mkdtemp(prefix="kw-"))
    yield made
    shutil.rmtree(made, ignore_errors=True)


def _write(manifests: Path, backends: list[Backend]) -> None:
    slices = [
        {**endpoint_slice(["127.0.0.1"], backend.port, SERVICE), "metadata": _metadata(number)}
        for number, backend in enumerate(backends)
    ]
    text = yaml.safe_dump_all([dict(each) for each in slices])
    (manifests / "slices.yaml").write_text(text)


def _metadata(number: int) -> dict[str, Any]:
    return {"name": f"slice-{number}", "labels": {"kubernetes.io/service-name": SERVICE}}


def _generation(running: Running, backends: list[Backend]) -> int | None:
    """Return the generation of the pool's cache if its endpoints are exactly these."""
    pools = running.report()["pools"]
    if not pools or pools[0]["cache"]["counts"] is None:
        return None
    there = {each["address"] for each in pools[0]["endpoints"] if each["health"] != "leaving"}
    wanted = {f"127.0.0.1:{backend.port}" for backend in backends}
    return int(pools[0]["cache"]["counts"]["generation"]) if there == wanted else None


def test_a_pool_whose_endpoints_are_all_replaced_drops_what_it_keeps(
    folder: Path, free_port: Callable[[], int]
) -> None:
    """While one of them stays it does not: a scale-out costs no hits. All may be replaced at once, or one by one."""
    manifests = folder / "manifests"
    manifests.mkdir()
    service = MANIFESTS.replace(
        '    cloud.google.com/backend-config: \'{"default": "my-release-backendconfig"}\'\n', ""
    )
    (manifests / "all.yaml").write_text(service)
    (manifests / "policy.yaml").write_text(yaml.safe_dump(dict(milvus_policy(SERVICE, cache={"enabled": True}))))
    with contextlib.ExitStack() as stack:
        first, second, third = (stack.enter_context(Backend()) for _ in range(3))
        _write(manifests, [first])
        ports = ["--http-port", str(free_port()), "--https-port", str(free_port()), "--drain", "1"]
        running = stack.enter_context(up(["-f", str(manifests), *ports], folder / "data"))
        seen: list[int] = []
        for backends in ([first], [first, second], [second], [third], [third, first]):
            _write(manifests, backends)
            wait_until(lambda: _generation(running, backends) is not None, f"Envoy has {len(backends)} endpoints")  # noqa: B023
            if backends in ([second], [third]):
                wait_until(lambda: (_generation(running, backends) or 0) > seen[-1], "everything is dropped")  # noqa: B023
            found = _generation(running, backends)
            assert found is not None
            seen.append(found)

    assert seen == [seen[0], seen[0], seen[0] + 1, seen[0] + 2, seen[0] + 2]
