"""The overlay on a release's values, and its removal."""

from __future__ import annotations

import json

import pytest

from kiteway.gke.names import Names, fullname, names
from kiteway.gke.options import DataPlane
from kiteway.gke.user_yaml import HTTP_PORT, SERVER_KEY, SERVER_PEM, TLS_MODE, lookup, merge, read
from kiteway.gke.values import merged, milvus_settings, overlay, reverted, upgraded
from kiteway.resources.annotations import APP_PROTOCOLS, BACKEND_CONFIG, NEG
from tests.support.gke import DEFAULTS, USER_YAML, VALUES, live, release, wanted


def _names() -> Names:
    return names(live(), release(), wanted())


def test_no_value_of_the_user_is_lost() -> None:
    """The image's tag, the volumes and the user's own settings of Milvus are preserved (G2, G3)."""
    after = upgraded(release(), wanted(), _names())
    assert after["image"] == VALUES["image"]
    assert after["service"]["type"] == "LoadBalancer"
    assert {"name": "cache", "emptyDir": {}} in after["proxy"]["volumes"]
    assert read(after["extraConfigFiles"]["user.yaml"])["proxy"]["maxTaskNum"] == 2048


def test_tls_comes_with_a_port_for_rest_and_a_mounted_key() -> None:
    """With tlsMode alone Milvus 2.5 and later does not start (G1), and serves a certificate of the image's (G3)."""
    after = upgraded(release(), wanted(rest_port=9444), _names())
    found = read(after["extraConfigFiles"]["user.yaml"])
    assert lookup(found, TLS_MODE) == 1
    assert lookup(found, HTTP_PORT) == 9444
    folder = next(m["mountPath"] for m in after["proxy"]["volumeMounts"] if m["name"] == "kiteway-tls")
    assert lookup(found, SERVER_PEM) == f"{folder}/tls.crt"
    assert lookup(found, SERVER_KEY) == f"{folder}/tls.key"
    volume = next(v for v in after["proxy"]["volumes"] if v["name"] == "kiteway-tls")
    assert volume["secret"] == {"secretName": "my-release-milvus-backend-tls"}


@pytest.mark.parametrize(
    ("text", "port"),
    [
        ("", 8080),
        ("proxy:\n  http:\n    port: 19530\n", 8080),
        ("proxy:\n  port: 19531\n  http:\n    port: 19531\n", 8080),
        ("proxy:\n  http:\n    port: 9000\n", None),
        ("proxy:\n  http:\n    enabled: false\n", None),
    ],
)
def test_rest_gets_a_port_only_where_it_shares_one(text: str, port: int | None) -> None:
    """A REST port of its own, or no REST at all, is the user's choice and stays."""
    assert milvus_settings(text, wanted()).get(HTTP_PORT) == port


def test_the_annotations_are_values_of_the_chart() -> None:
    """The three annotations are in service.annotations, by the port's name (G10); others of the user stay."""
    mine = merged(VALUES, {"service": {"annotations": {"team": "search", NEG: '{"exposed_ports":{"9091":{}}}'}}})
    after = upgraded(release(mine), wanted(), _names())["service"]["annotations"]
    assert after["team"] == "search"
    assert json.loads(after[APP_PROTOCOLS]) == {"milvus": "HTTP2"}
    assert json.loads(after[BACKEND_CONFIG]) == {"default": "my-release-backendconfig"}
    assert json.loads(after[NEG]) == {"exposed_ports": {"9091": {}}, "ingress": True}


def test_the_port_is_called_by_its_name_in_the_values() -> None:
    """GKE looks app-protocols up by the port's name only: another key would be silently ignored."""
    after = upgraded(release(merged(VALUES, {"service": {"portName": "grpc"}})), wanted(), _names())
    assert json.loads(after["service"]["annotations"][APP_PROTOCOLS]) == {"grpc": "HTTP2"}


def test_standalone_mounts_by_the_values_of_all_components() -> None:
    """The chart has no separate volumes for standalone."""
    alone = release(merged(VALUES, {"cluster": {"enabled": False}}))
    over = overlay(alone, wanted(), names(live(), alone, wanted()))
    assert [v["name"] for v in over["volumes"]] == ["kiteway-tls"]
    assert "proxy" not in over


def test_laid_over_twice_is_laid_over_once() -> None:
    """A second overlay changes nothing; this is how a step knows that it is done."""
    once = upgraded(release(), wanted(), _names())
    assert upgraded(release(once), wanted(), _names()) == once


def test_milvus_stays_as_it_is_behind_kiteway() -> None:
    """If TLS ends at Kiteway, Milvus's release does not change, so no client is interrupted."""
    assert overlay(release(), wanted(data_plane=DataPlane.KITEWAY), _names()) == {}


@pytest.mark.parametrize("values", [VALUES, {}, {"service": {"annotations": {NEG: "{}"}}}])
@pytest.mark.parametrize("remove", [False, True])
def test_rollback_restores_the_original_values(values: dict[str, object], *, remove: bool) -> None:
    """Rollback restores the original values, the removed Layer-4 balancer included."""
    before = release(values)
    asked = wanted(remove_l4=remove)
    after = upgraded(before, asked, _names())
    if remove:
        after = merged(after, {"service": {"type": "ClusterIP"}})
    assert reverted(after, before, asked, _names()) == values


def test_later_changes_stay() -> None:
    """A rollback removes the overlay, not later changes by others."""
    before = release()
    after = upgraded(before, wanted(), _names())
    after = merged(after, {"image": {"all": {"tag": "v2.6.4"}}, "proxy": {"replicas": 5}})
    after["proxy"]["volumes"].append({"name": "logs", "emptyDir": {}})
    after["service"]["annotations"][APP_PROTOCOLS] = '{"milvus":"HTTPS"}'
    after["extraConfigFiles"]["user.yaml"] = merge(after["extraConfigFiles"]["user.yaml"], {("log", "level"): "debug"})
    found = reverted(after, before, wanted(), _names())
    assert found["image"]["all"]["tag"] == "v2.6.4"
    assert found["proxy"]["replicas"] == 5
    assert [v["name"] for v in found["proxy"]["volumes"]] == ["cache", "logs"]
    assert found["service"]["annotations"] == {APP_PROTOCOLS: '{"milvus":"HTTPS"}'}
    assert read(found["extraConfigFiles"]["user.yaml"]) == {**read(USER_YAML), "log": {"level": "debug"}}


@pytest.mark.parametrize(
    ("release_name", "override", "expected"),
    [
        ("my-release", "", "my-release-milvus"),
        ("milvus", "", "milvus"),
        ("prod-milvus-1", "", "prod-milvus-1"),
        ("r" * 60, "", "r" * 60 + "-mi"),
        ("r" * 62, "", "r" * 62),
        ("my-release", "vectors", "vectors"),
    ],
)
def test_names_are_the_charts(release_name: str, override: str, expected: str) -> None:
    """The Service's name follows milvus-helm's template, cut at 63 without a dash at the end."""
    assert fullname(release_name, "milvus", override) == expected


def test_an_ingress_of_the_charts_own_is_not_taken() -> None:
    """With ingress.enabled the chart has an Ingress of the guide's name, so kiteway gke uses another name."""
    on = release(merged(DEFAULTS, {"ingress": {"enabled": True}}))
    assert names(live(), on, wanted()).ingress == "my-release-milvus-l7"
