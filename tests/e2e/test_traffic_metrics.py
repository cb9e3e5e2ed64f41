"""The metrics endpoint of a running Kiteway, its documentation and its dashboard."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import grpc
import pytest

from kiteway.filter import filter_path, missing_reason
from kiteway.rotation import KEPT_FILES
from tests.e2e.traffic import (
    INSERT,
    NOT_READY_RESULT,
    OK_RESULT,
    SEARCH,
    SERVICE,
    Backend,
    call,
    eventually,
    model,
    pool,
    running,
)
from tests.support.kiteway import Running, up

pytestmark = [pytest.mark.e2e, pytest.mark.skipif(filter_path() is None, reason=missing_reason())]

ROOT = Path(__file__).parents[2]

MANIFESTS = """
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: my-release-milvus}
spec:
  defaultBackend: {service: {name: my-release-milvus, port: {number: 19530}}}
---
apiVersion: v1
kind: Service
metadata:
  name: my-release-milvus
  annotations:
    cloud.google.com/backend-config: '{"default": "my-release-backendconfig"}'
    cloud.google.com/neg: '{"ingress": true}'
spec:
  ports: [{name: milvus, port: 19530, targetPort: 19530}]
---
apiVersion: cloud.google.com/v1
kind: BackendConfig
metadata: {name: my-release-backendconfig}
spec:
  healthCheck: {type: HTTP, port: 9091, requestPath: /healthz, checkIntervalSec: 1, timeoutSec: 1}
"""


class Scraped(NamedTuple):
    """A running instance, the address of its metrics and the port of its calls."""

    running: Running
    address: str
    port: int
    backend: Backend

    def get(self, path: str = "/metrics") -> str:
        """Return a page."""
        with urllib.request.urlopen(f"http://{self.address}{path}", timeout=10) as response:
            text: str = response.read().decode()
        return text

    def value(self, sample: str) -> float:
        """Return the value of a sample, named with its labels as the page shows them."""
        [found] = [line for line in self.get().splitlines() if line.startswith(f"{sample} ")]
        return float(found.rpartition(" ")[2])


@pytest.fixture(scope="module")
def scraped(free_port: Callable[[], int]) -> Iterator[Scraped]:
    """Kiteway in front of one backend, with some calls made."""
    folder = Path(tempfile.mkdtemp(prefix="kw-"))
    (folder / "manifests").mkdir()
    (folder / "manifests" / "all.yaml").write_text(MANIFESTS)
    port, metrics = free_port(), f"127.0.0.1:{free_port()}"
    try:
        with Backend() as backend:
            endpoint = f"my-release-milvus=127.0.0.1:{backend.port},health={backend.health_port}"
            arguments: list[str] = ["-f", str(folder / "manifests"), "--endpoint", endpoint, "--metrics-bind", metrics]
            arguments += ["--http-port", str(port), "--https-port", str(free_port()), "--drain", "1"]
            with up(arguments, folder / "data") as running:
                running.wait_healthy(1)
                with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
                    for _ in range(3):
                        call(channel, SEARCH)
                    call(channel, INSERT)
                    call(channel, f"{SERVICE}/DropCollection")
                    backend.answer = grpc.StatusCode.RESOURCE_EXHAUSTED
                    with pytest.raises(grpc.RpcError):
                        call(channel, INSERT)
                    backend.answer = NOT_READY_RESULT
                    call(channel, INSERT)
                    backend.answer = OK_RESULT
                yield Scraped(running, metrics, port, backend)
    finally:
        shutil.rmtree(folder)


def names(page: str) -> set[str]:
    """Return the metrics of a page, by the names Prometheus keeps them under; a histogram is one."""
    return {line.split()[2] for line in page.splitlines() if line.startswith("# TYPE ")}


def test_the_control_plane_and_envoy_are_on_one_page(scraped: Scraped) -> None:
    """One scrape has the calls by rpc, the endpoints and the control plane's metrics, and each name once."""
    pool = "pool/default/my-release-milvus/19530/grpc"
    counted, of_pool = "envoy_cluster_kiteway_requests_total", f'envoy_cluster_name="{pool}"'
    eventually(lambda: scraped.value(f'{counted}{{{of_pool},rpc="Search"}}') == 3, "the searches are counted")
    assert scraped.value(f'{counted}{{{of_pool},rpc="Insert"}}') == 3
    assert scraped.value(f'{counted}{{{of_pool},rpc="DropCollection"}}') == 1
    answered = "envoy_cluster_kiteway_responses_total"
    assert scraped.value(f'{answered}{{{of_pool},status="OK"}}') == 6
    assert scraped.value(f'{answered}{{{of_pool},status="RESOURCE_EXHAUSTED"}}') == 1
    assert scraped.value(f'envoy_cluster_membership_healthy{{envoy_cluster_name="{pool}"}}') == 1
    assert scraped.value("kiteway_envoys_converged") == 1
    assert scraped.value("kiteway_rejected_resources") == 0
    assert scraped.value('kiteway_diagnostics{severity="error"}') == 0
    assert scraped.value("kiteway_translations_total") >= 1
    types = [line for line in scraped.get().splitlines() if line.startswith("# TYPE ")]
    assert len(types) == len(set(types))


def without_policies(found: set[str]) -> set[str]:
    """Return the metrics but those of routes with a policy: see `test_admission_queue.py` and `test_policy_cache.py`."""
    return {name for name in found if not name.startswith(("envoy_kiteway_", "kiteway_cache_"))}


def test_every_metric_is_documented_and_exists(scraped: Scraped) -> None:
    """The reference lists each metric of the page, and none that is not there."""
    reference = (ROOT / "docs" / "reference" / "metrics.md").read_text()
    documented = set(re.findall(r"^\| `((?:kiteway|envoy)_\w+)` \|", reference, re.MULTILINE))
    assert without_policies(documented) == without_policies(names(scraped.get()))


def test_envoy_counts_only_statistics_on_the_page(tmp_path: Path, free_port: Callable[[], int]) -> None:
    """Envoy counts a call only in statistics that are on the page."""
    with Backend() as backend, running(tmp_path, free_port) as proxy, proxy.channel() as channel:
        proxy.apply(model(pool()), [backend.endpoint()])
        call(channel, SEARCH)
        assert proxy.stat("http.http.downstream_rq_total") == 1
        assert proxy.stats(r"^(http|listener|cluster\.pool).*(\.rq_total|_completed|http2_total|streams_active)$") == {}


def test_clients_do_not_grow_the_page(scraped: Scraped) -> None:
    """Unknown rpcs, paths, hosts and databases add no series once there are those of `other`."""

    def unknown(number: int) -> None:
        options = [("grpc.default_authority", f"host-{number}.example.com")]
        with grpc.insecure_channel(f"127.0.0.1:{scraped.port}", options=options) as channel:
            call(channel, f"/some.Service{number}/Rpc{number}", metadata=(("dbname", f"db-{number}"),))

    unknown(0)
    before = len(scraped.get().splitlines())
    for number in range(1, 21):
        unknown(number)
    # Envoy's histograms may have appeared meanwhile.
    assert len(scraped.get().splitlines()) - before < 5


def test_probes(scraped: Scraped) -> None:
    """``/live`` and ``/ready`` answer on the same address; other paths do not."""
    assert (scraped.get("/live"), scraped.get("/ready")) == ("live", "ready")
    for path in ["/status", "/", "/config_dump", "/stats", "/quitquitquit"]:
        with pytest.raises(urllib.error.HTTPError) as caught:
            scraped.get(path)
        assert caught.value.code == 404
        caught.value.close()


def test_the_page_outlives_envoy(scraped: Scraped) -> None:
    """While Envoy is down the page has the control plane's own metrics; then all are back."""
    scraped.running.kill("envoy")
    eventually(lambda: "kiteway_envoys " in scraped.get(), "the control plane's own")
    eventually(lambda: "envoy_server_live" in scraped.get(), "Envoy's are back")


@pytest.mark.skipif(filter_path() is None, reason=missing_reason())
def test_the_access_log_says_nothing_of_messages_unless_asked(scraped: Scraped) -> None:
    """`kiteway up` without --log-calls writes lines without `call`."""
    log = scraped.running.instance.log_dir / "access.log"
    eventually(log.read_text, "Envoy writes the lines of the first calls", 30)
    first, *_ = log.read_text().splitlines()
    assert "path" in json.loads(first)
    assert "call" not in json.loads(first)


def test_the_access_log_is_rotated(scraped: Scraped) -> None:
    """A full log is renamed and Envoy goes on with a new one; both are readable for the owner only."""
    log = scraped.running.instance.log_dir / "access.log"
    moved = log.with_name("access.log.1")
    with log.open("ab") as file:
        file.truncate(17 << 20)
    eventually(moved.exists, "the full log is moved")
    with grpc.insecure_channel(f"127.0.0.1:{scraped.port}") as channel:

        def written() -> bool:
            call(channel, SEARCH)
            return bool(log.stat().st_size)

        eventually(written, "Envoy writes to the new one")
    assert {path.stat().st_mode & 0o777 for path in (log, moved)} == {0o600}
    assert len(list(log.parent.glob("access.log*"))) <= KEPT_FILES + 1
