"""Which parts of an object are stored, and which changes count."""

from __future__ import annotations

import copy
from typing import Any

import msgspec
import pytest

from kiteway.resources import Ingress, Object, Secret
from kiteway.sources.kubernetes.gke import belongs_elsewhere
from kiteway.sources.kubernetes.kinds import WATCHED
from kiteway.sources.kubernetes.published import PublishedService
from kiteway.sources.kubernetes.store import Store, View

INGRESS: dict[str, Any] = {
    "metadata": {
        "name": "milvus",
        "namespace": "default",
        "uid": "u1",
        "resourceVersion": "1",
        "annotations": {"kubernetes.io/ingress.allow-http": "false"},
        "managedFields": [{"manager": "kubectl"}],
    },
    "spec": {
        "tls": [{"secretName": "tls"}],
        "defaultBackend": {"service": {"name": "milvus", "port": {"number": 19530}}},
    },
}


def _view(
    store: Store, kind: type[Object], changes: list[Object | None], touches: list[None], namespace: str = ""
) -> View:
    watched = next(each for each in WATCHED if each.cls is kind)
    return store.view(watched, namespace, lambda _, after: changes.append(after), lambda: touches.append(None))


def _with(**metadata: Any) -> dict[str, Any]:
    changed: dict[str, Any] = copy.deepcopy(INGRESS)
    changed["metadata"] |= metadata
    return changed


def test_what_controllers_write_is_no_change() -> None:
    """Changes of status, bookkeeping and controllers' annotations cause no translation."""
    store = Store()
    changes: list[Object | None] = []
    touches: list[None] = []
    view = _view(store, Ingress, changes, touches)
    view.put(INGRESS)
    assert len(changes) == 1

    annotations = {**INGRESS["metadata"]["annotations"], "ingress.kubernetes.io/backends": "{}"}
    view.put(_with(resourceVersion="2", annotations=annotations, managedFields=[{"manager": "kiteway"}]))

    assert len(changes) == 1
    assert len(touches) == 1
    [object_] = store.entries("Ingress")["default", "milvus"].loaded.objects
    live = store.live(object_.ref)
    assert live is not None
    assert live.annotations == {"ingress.kubernetes.io/backends": "{}"}
    assert live.ours


def test_what_users_write_is_a_change() -> None:
    """An annotation of a user is a change."""
    store = Store()
    changes: list[Object | None] = []
    view = _view(store, Ingress, changes, [])
    view.put(INGRESS)

    view.put(_with(annotations={}))

    assert len(changes) == 2


def test_a_list_drops_what_is_gone_in_its_namespace_only() -> None:
    """A list of one namespace does not affect another."""
    store = Store()
    changes: list[Object | None] = []
    _view(store, Ingress, changes, []).put(_with(namespace="other"))
    view = _view(store, Ingress, changes, [], "default")
    view.put(INGRESS)

    view.replace([])

    assert list(store.entries("Ingress")) == [("other", "milvus")]
    assert changes[-1] is None


def test_kubectls_copy_of_a_secret_is_not_kept() -> None:
    """The annotation with the whole object, key included, is neither in memory nor in the file."""
    store = Store()
    copied = {"kubectl.kubernetes.io/last-applied-configuration": "the-key-again"}
    secret = {"metadata": {"name": "s", "namespace": "default", "annotations": copied}, "type": "Opaque", "data": {}}

    _view(store, Secret, [], []).put(secret)

    assert b"the-key-again" not in b"".join(store.raws())


def test_a_google_field_manager_is_noticed() -> None:
    """An object that ingress-gce has written shows that the cluster is GKE."""
    store = Store()
    _view(store, Ingress, [], []).put(_with(managedFields=[{"manager": "glbc"}]))

    assert store.google


def test_fields_of_another_class_are_not_kiteways() -> None:
    """A Kiteway of another class has another field manager; each removes only its own fields."""
    ours = _with(managedFields=[{"manager": "kiteway"}])
    for manager, written in (("kiteway", True), ("kiteway-behind", False)):
        store = Store(manager)
        _view(store, Ingress, [], []).put(ours)
        (entry,) = store.entries("Ingress").values()
        assert entry.live is not None
        assert entry.live.ours is written


def test_which_ingresses_are_googles() -> None:
    """On GKE Ingresses without a class and of Google's classes are Google's; in other clusters both are translated."""
    store = Store()
    view = _view(store, Ingress, [], [])
    key = "kubernetes.io/ingress.class"
    for name, marks in (("none", {}), ("google", {key: "gce-internal"}), ("ours", {key: "kiteway"})):
        view.put(_with(name=name, annotations=marks))

    def left_out(*, gke: bool, classless: bool) -> set[str]:
        objects = (o for e in store.entries("Ingress").values() for o in e.loaded.objects)
        return {o.metadata.name for o in objects if belongs_elsewhere(o, gke=gke, classless=classless)}

    assert left_out(gke=False, classless=True) == set()
    assert left_out(gke=False, classless=False) == {"none"}
    assert left_out(gke=True, classless=False) == {"none", "google"}
    assert left_out(gke=True, classless=True) == {"google"}


def test_the_kept_form_reads_the_same() -> None:
    """Objects read back from the file equal those of the API server."""
    store = Store()
    _view(store, Ingress, [], []).put(INGRESS)

    [raw] = store.raws()
    again = Store()
    _view(again, Ingress, [], []).put(msgspec.json.decode(raw))

    assert list(again.raws()) == [raw]


@pytest.mark.parametrize(
    ("service", "expected"),
    [
        (
            {
                "spec": {"type": "LoadBalancer", "clusterIP": "10.96.0.9"},
                "status": {
                    "loadBalancer": {"ingress": [{"ip": "203.0.113.7", "ipMode": "VIP"}, {"hostname": "lb.test"}]}
                },
            },
            [{"ip": "203.0.113.7"}, {"hostname": "lb.test"}],
        ),
        ({"spec": {"type": "LoadBalancer", "clusterIP": "10.96.0.9"}, "status": {}}, []),
        (
            {"spec": {"type": "ClusterIP", "clusterIP": "10.96.0.9", "externalIPs": ["198.51.100.1"]}},
            [{"ip": "198.51.100.1"}],
        ),
        ({"spec": {"type": "NodePort", "clusterIP": "10.96.0.9"}}, [{"ip": "10.96.0.9"}]),
        ({"spec": {"type": "ClusterIP", "clusterIP": "None"}}, []),
    ],
)
def test_the_addresses_of_the_service_in_front(service: dict[str, Any], expected: list[dict[str, str]]) -> None:
    """They are those of its load balancer if there is one, else its external addresses, else its own."""
    told: list[None] = []
    published = PublishedService(lambda: told.append(None))

    published.replace([service])

    assert list(published.addresses) == expected
    assert len(told) == bool(expected)
