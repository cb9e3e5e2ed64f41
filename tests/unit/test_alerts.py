"""The alerts for Prometheus: each fires on its case and is silent beside it, as promtool evaluates them."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from tools import debian

ROOT = Path(__file__).resolve().parents[2]
RULES = ROOT / "deploy/prometheus/kiteway.yaml"
POOL = "pool/default/milvus/19530/grpc"
OF_POOL = f'instance="a", envoy_cluster_name="{POOL}"'
READ = f'pool="{POOL}", database="zoo", collection="birds", rpc="Search"'
MINUTES = 60
DAY = 86400


class Case(NamedTuple):
    """
    An alert, series for which it fires, and similar ones for which nothing does.

    Attributes:
        alert: its name.
        fires: series, in promtool's notation, one value a minute.
        labels: the labels of the alert, but its name and severity.
        beside: other series.
    """

    alert: str
    fires: Mapping[str, str]
    labels: Mapping[str, str]
    beside: Mapping[str, str]


def bucket(le: str) -> str:
    """Return the name of a bucket of the reads of a collection."""
    return f'kiteway_call_duration_seconds_bucket{{{READ}, le="{le}"}}'


COUNT = f"kiteway_call_duration_seconds_count{{{READ}}}"
STATUS = 'kiteway_managed_certificate_status{instance="a", certificate="default/milvus", status="'
EXPIRY = 'kiteway_certificate_expiry_timestamp_seconds{instance="a", certificate="default/tls"}'
READS = f'kiteway_cache_reads_total{{instance="a", pool="{POOL}", outcome="'
BYPASSES = f'kiteway_cache_bypasses_total{{instance="a", pool="{POOL}", reason="'
EXPORTS = 'envoy_cluster_upstream_rq_xx{instance="a", envoy_cluster_name="otlp", envoy_response_code_class="'

CASES = [
    Case(
        "KitewayNoEnvoy",
        {'kiteway_envoys{instance="a"}': "1x10 0x100"},
        {"instance": "a"},
        {'kiteway_envoys{instance="a"}': "1x110"},
    ),
    Case(
        "KitewayEnvoyRestarted",
        {'envoy_server_uptime{instance="a"}': "0+60x55 0+60x20"},
        {"instance": "a"},
        {'envoy_server_uptime{instance="a"}': "0+60x110", 'envoy_server_uptime{instance="b"}': "_x55 0+60x50"},
    ),
    Case(
        "KitewayNoEndpoint",
        {f"envoy_cluster_membership_healthy{{{OF_POOL}}}": "0x110"},
        {"instance": "a", "envoy_cluster_name": POOL},
        {
            f"envoy_cluster_membership_healthy{{{OF_POOL}}}": "1x110",
            'envoy_cluster_membership_healthy{instance="a", envoy_cluster_name="otlp"}': "0x110",
        },
    ),
    Case(
        "KitewayDegraded",
        {'kiteway_shortcomings{instance="a"}': "2x110"},
        {"instance": "a"},
        {'kiteway_shortcomings{instance="a"}': "0x52 2x5 0x60"},
    ),
    Case(
        "KitewayQuarantine",
        {'kiteway_quarantined_ingresses{instance="a"}': "1x110"},
        {"instance": "a"},
        {'kiteway_quarantined_ingresses{instance="a"}': "0x110"},
    ),
    Case(
        "KitewayCertificateExpires",
        {EXPIRY: f"{6 * DAY}x110"},
        {"instance": "a", "certificate": "default/tls"},
        {EXPIRY: f"{8 * DAY}x110"},
    ),
    Case(
        "KitewayManagedCertificateFails",
        {f'{STATUS}RenewalFailed"}}': "1x110", f'{STATUS}Active"}}': "0x110"},
        {"instance": "a", "certificate": "default/milvus", "status": "RenewalFailed"},
        {f'{STATUS}RenewalFailed"}}': "0x110", f'{STATUS}Provisioning"}}': "1x110"},
    ),
    Case(
        "KitewaySlowReads",
        {bucket("1"): "0+50x110", bucket("2"): "0+60x110", bucket("+Inf"): "0+60x110", COUNT: "0+60x110"},
        {"pool": POOL, "database": "zoo", "collection": "birds"},
        {bucket("1"): "0+60x110", bucket("2"): "0+60x110", bucket("+Inf"): "0+60x110", COUNT: "0+60x110"},
    ),
    Case(
        "KitewayRetryBudgetUsedUp",
        {f"envoy_cluster_upstream_rq_retry_overflow{{{OF_POOL}}}": "0+1x110"},
        {"instance": "a", "envoy_cluster_name": POOL},
        {f"envoy_cluster_upstream_rq_retry_overflow{{{OF_POOL}}}": "7x110"},
    ),
    Case(
        "KitewayLimitsRefuse",
        {'envoy_kiteway_refused_total{instance="a", reason="requests"}': "0+5x110"},
        {"instance": "a", "reason": "requests"},
        {'envoy_kiteway_refused_total{instance="a", reason="requests"}': "9x110"},
    ),
    Case(
        "KitewayCacheOff",
        {f'kiteway_cache_on{{instance="a", pool="{POOL}"}}': "0x110"},
        {"instance": "a", "pool": POOL},
        {f'kiteway_cache_on{{instance="a", pool="{POOL}"}}': "1x110"},
    ),
    Case(
        "KitewayCacheAnswersNothing",
        {f'{READS}bypass"}}': "0+60x110", f'{READS}hit"}}': "0+1x110", f'{BYPASSES}no-sample"}}': "0+60x110"},
        {"instance": "a", "pool": POOL},
        # Clients that ask for Strong reads are no fault of the cache.
        {f'{READS}bypass"}}': "0+60x110", f'{READS}hit"}}': "0+1x110", f'{BYPASSES}strong"}}': "0+60x110"},
    ),
    Case(
        "KitewayTracesLost",
        {f'{EXPORTS}5"}}': "0+60x110", f'{EXPORTS}2"}}': "9x110"},
        {"instance": "a"},
        {
            f'{EXPORTS}5"}}': "9x110",
            f'{EXPORTS}2"}}': "0+60x110",
            f'envoy_cluster_upstream_rq_xx{{{OF_POOL}, envoy_response_code_class="5"}}': "0+60x110",
        },
    ),
]


def rules() -> list[dict[str, Any]]:
    """Return the rules."""
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


@pytest.fixture(scope="module")
def promtool() -> str:
    """Return where promtool is."""
    found = shutil.which("promtool", path=str(debian.BIN)) or shutil.which("promtool")
    if found is None:
        pytest.skip("there is no promtool; python tools/debian.py prometheus gets it")
    return found


def run(promtool: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run promtool."""
    return subprocess.run([promtool, *arguments], capture_output=True, text=True, check=False, timeout=60)


def test_the_rules_are_valid(promtool: str) -> None:
    """Promtool accepts every expression and template."""
    done = run(promtool, "check", "rules", RULES)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_has_a_case_and_says_what_to_do() -> None:
    """Each alert has a case here, a severity, and sentences that say what it is and what to do."""
    found = rules()
    assert [rule["alert"] for rule in found] == [case.alert for case in CASES]
    for rule in found:
        assert rule["labels"]["severity"] in {"critical", "warning", "info"}
        assert rule["annotations"].keys() == {"summary", "description", "runbook"}
        assert rule["annotations"]["runbook"].endswith(".")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.alert)
def test_an_alert_fires_on_its_case_and_is_silent_beside_it(promtool: str, tmp_path: Path, case: Case) -> None:
    """After an hour of the case this alert fires and no other; beside it none does."""
    severity = next(rule["labels"]["severity"] for rule in rules() if rule["alert"] == case.alert)
    labels = {"alertname": case.alert, "alertstate": "firing", "severity": severity, **case.labels}
    name = "ALERTS{" + ", ".join(f'{key}="{value}"' for key, value in labels.items()) + "}"
    expected = [{"labels": name, "value": 1}]
    file = tmp_path / "test.yaml"
    tests = [_test(case.fires, expected), _test(case.beside, [])]
    file.write_text(yaml.safe_dump({"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": tests}))

    done = run(promtool, "test", "rules", file)

    assert done.returncode == 0, done.stdout + done.stderr


def _test(series: Mapping[str, str], expected: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [
            {"expr": 'ALERTS{alertstate="firing"}', "eval_time": f"{MINUTES}m", "exp_samples": expected}
        ],
    }
