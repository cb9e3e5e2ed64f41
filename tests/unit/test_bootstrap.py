"""Envoy's bootstrap."""

from __future__ import annotations

import copy
import json
import resource
from pathlib import Path
from typing import Any

import pytest

from kiteway.envoy import bootstrap as module
from kiteway.envoy.bootstrap import OverloadLimits, bootstrap, validate
from kiteway.instance import Instance

LIMITS = OverloadLimits(max_heap_bytes=512 * 1024 * 1024, max_connections=1000)


@pytest.fixture
def config(tmp_path: Path) -> dict[str, Any]:
    """The bootstrap of an instance that does not run."""
    return bootstrap(Instance(tmp_path / "data"), node_id="test", limits=LIMITS)


@pytest.mark.e2e
def test_envoy_accepts_it_without_a_deprecated_feature(envoy_binary: Path, config: dict[str, Any]) -> None:
    """A real Envoy accepts it, also one that refuses deprecated features; no file is left in the data directory."""
    strict = copy.deepcopy(config)
    (layer,) = strict["layered_runtime"]["layers"]
    layer["static_layer"]["envoy.features.fail_on_any_deprecated_feature"] = True
    before = copy.deepcopy(strict)
    assert validate(envoy_binary, strict) is None
    assert strict == before


@pytest.mark.e2e
def test_envoy_s_objection_is_returned(envoy_binary: Path, config: dict[str, Any]) -> None:
    """The error has Envoy's message about the configuration, without the temporary file's name."""
    config["node"]["nonsense"] = 1
    error = validate(envoy_binary, config)
    assert error is not None
    assert "nonsense" in error
    assert "kiteway-validate-" not in error


def test_everything_local_is_a_unix_socket(config: dict[str, Any], tmp_path: Path) -> None:
    """The bootstrap opens no port: the admin API and the connection to the control plane are 0600 sockets."""
    assert "socket_address" not in json.dumps(config)
    run = tmp_path / "data" / "run"
    assert config["admin"]["address"]["pipe"] == {"path": str(run / "admin.sock"), "mode": 0o600}
    (ads,) = config["static_resources"]["clusters"]
    (locality,) = ads["load_assignment"]["endpoints"]
    (endpoint,) = locality["lb_endpoints"]
    assert endpoint["endpoint"]["address"]["pipe"]["path"] == str(run / "ads.sock")


def test_envoy_is_not_ready_before_its_first_configuration(config: dict[str, Any]) -> None:
    """CDS and LDS come by delta ADS, without a timeout after which Envoy would be live without them."""
    resources = config["dynamic_resources"]
    assert resources["ads_config"]["api_type"] == "DELTA_GRPC"
    for source in (resources["cds_config"], resources["lds_config"]):
        assert source["initial_fetch_timeout"] == "0s"


def test_limits_are_in_it(config: dict[str, Any]) -> None:
    """The numbers of the limits reach the resource monitors."""
    monitors = {
        m["name"].rpartition(".")[2]: m["typed_config"] for m in config["overload_manager"]["resource_monitors"]
    }
    assert monitors["fixed_heap"]["max_heap_size_bytes"] == LIMITS.max_heap_bytes
    assert monitors["global_downstream_max_connections"]["max_active_downstream_connections"] == LIMITS.max_connections


def test_memory_budget_follows_the_cgroup(tmp_path: Path) -> None:
    """Three quarters of a limit (cgroup v2 or v1); "max" and a limit beyond the machine are no limits."""
    machine = module._memory_budget(tmp_path)
    (tmp_path / "memory").mkdir()
    (tmp_path / "memory" / "memory.limit_in_bytes").write_text("4000000\n")
    assert module._memory_budget(tmp_path) == 3000000
    (tmp_path / "memory.max").write_text("8000000\n")
    assert module._memory_budget(tmp_path) == 6000000
    (tmp_path / "memory" / "memory.limit_in_bytes").write_text(f"{1 << 62}\n")
    (tmp_path / "memory.max").write_text("max\n")
    assert module._memory_budget(tmp_path) == machine > 6000000


@pytest.mark.parametrize(("descriptors", "connections"), [((1024, 4096), 960), ((1024, resource.RLIM_INFINITY), 65536)])
def test_connections_follow_the_hard_limit_and_the_heap(
    monkeypatch: pytest.MonkeyPatch, descriptors: tuple[int, int], connections: int
) -> None:
    """
    A quarter of the hard limit of descriptors, or the number that half of the heap carries; the soft limit does
    not count.
    """
    monkeypatch.setattr(module, "_memory_budget", lambda: 16 << 30)
    monkeypatch.setattr(resource, "getrlimit", lambda _: descriptors)
    assert OverloadLimits.of_this_machine() == OverloadLimits(16 << 30, connections)


def test_limits_of_this_machine_are_positive() -> None:
    """There is always room for some connections and at least 128 MiB of heap."""
    limits = OverloadLimits.of_this_machine()
    assert limits.max_heap_bytes >= 128 * 1024 * 1024
    assert limits.max_connections > 100
