"""The last good form of an Ingress, and its properties."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

from kiteway.certificates.create import create_self_signed
from kiteway.diagnostics import ObjectRef, Severity
from kiteway.resources import Object, load_documents
from kiteway.translate import Endpoints, Options, Result, Translator
from tests.support.manifests import Manifest, backend_config, endpoint_slice, ingress, path, rule, secret, service, text

NOW = dt.datetime.now(dt.UTC)
OPTIONS = Options()
HOST = "my-release.milvus.io"
GOOD: list[Manifest] = [
    ingress(rule(HOST), tls=["tls"]),
    service(protocol="HTTP2", rest_port=8080, backend_config="milvus"),
    backend_config(timeoutSec=60),
    secret("tls", create_self_signed([HOST])),
]


class Rounds:
    """A translator, round after round."""

    def __init__(self) -> None:
        self._translator = Translator()

    def __call__(self, *manifests: Manifest) -> Result:
        """Translate what there is now."""
        loaded = load_documents(text(manifests), "test.yaml")
        return self._translator.translate(loaded.objects, OPTIONS, NOW, loaded.refused)


def hosts(result: Result) -> dict[str, list[str]]:
    """Return the paths of each host that lead somewhere."""
    return {host.domain: [r.match.path for r in host.routes if r.pool is not None] for host in result.model.hosts}


def test_an_ingress_with_errors_keeps_its_last_good_form() -> None:
    """
    A change that names a missing Service does not take effect; its diagnostics are reported, and the Ingress
    is listed.
    """
    rounds = Rounds()
    good = rounds(*GOOD)
    bad = rounds(ingress(rule(HOST, path("/new", "nowhere")), tls=["tls"]), *GOOD[1:])
    assert bad.model == good.model
    assert bad.retained == (ObjectRef("Ingress", "default", "milvus"),)
    assert [d.reason for d in bad.diagnostics if d.severity is Severity.ERROR] == ["ServiceNotFound"]
    assert rounds(*GOOD).retained == ()


def test_an_unreadable_ingress_keeps_its_last_good_form() -> None:
    """The same holds for an object that can no longer be read."""
    rounds = Rounds()
    good = rounds(*GOOD)
    bad = rounds(ingress(rule("not a host"), tls=["tls"]), *GOOD[1:])
    assert bad.model == good.model


def test_a_deleted_ingress_leaves_nothing() -> None:
    """Host, pool and certificate are removed, and another Ingress may claim the host."""
    rounds = Rounds()
    rounds(*GOOD)
    assert rounds(*GOOD[1:]).model.hosts == ()
    other = rounds(ingress(rule(HOST, path("/other")), name="other", namespace="other"), service(namespace="other"))
    assert hosts(other) == {HOST: ["/other"]}
    assert other.model.certificates == ()
    assert [pool.key.namespace for pool in other.model.pools] == ["other"]


def test_without_a_last_good_form_the_valid_paths_serve() -> None:
    """An Ingress with a mistake in its first round serves its other paths."""
    result = Rounds()(ingress(rule(HOST, path(), path("/gone", "gone")), tls=["tls"]), *GOOD[1:])
    assert hosts(result) == {HOST: ["/"]}
    assert result.retained == ()


def test_a_retained_ingress_does_not_hold_back_a_shared_service() -> None:
    """A Service that a good Ingress uses as well follows the good one, though the retained one is older."""
    rounds = Rounds()
    new = ingress(rule("new.milvus.io"), name="new", created="2026-01-02T00:00:00Z")
    old = ingress(rule(HOST), tls=["tls"], created="2026-01-01T00:00:00Z")
    rounds(old, new, *GOOD[1:])
    broken = ingress(rule(HOST, path("/", "nowhere")), tls=["tls"], created="2026-01-01T00:00:00Z")
    result = rounds(broken, new, GOOD[1], backend_config(timeoutSec=7), GOOD[3])
    assert len(result.retained) == 1
    assert [pool.timeout for pool in result.model.pools] == [7]


def test_a_retained_ingress_takes_no_new_host() -> None:
    """A change with errors claims nothing: another Ingress may have the host."""
    rounds = Rounds()
    rounds(*GOOD)
    greedy = ingress(
        rule(HOST), rule("wanted.milvus.io", path("/", "nowhere")), tls=["tls"], created="2026-01-01T00:00:00Z"
    )
    other = ingress(rule("wanted.milvus.io"), name="other", created="2026-01-02T00:00:00Z")
    result = rounds(greedy, other, *GOOD[1:])
    assert {host.domain: host.source.name for host in result.model.hosts} == {
        HOST: "milvus",
        "wanted.milvus.io": "other",
    }


def test_what_kubectl_prints_of_a_release_translates_without_errors() -> None:
    """
    The output of `kubectl get -o yaml` for a release of the Milvus chart gives no error, its host, its pool
    and its endpoints.
    """
    file = Path(__file__).parents[1] / "fixtures" / "kubectl-get-milvus.yaml"
    loaded = load_documents(file.read_bytes(), file.name)
    result = Translator().translate(loaded.objects, OPTIONS, NOW, loaded.refused)
    diagnostics = [*loaded.diagnostics, *result.diagnostics]
    assert [d for d in diagnostics if d.severity is Severity.ERROR] == []
    assert hosts(result) == {HOST: ["/"]}
    [pool] = result.model.pools
    assert str(pool.key) == "default/my-release-milvus/19530"
    assert Endpoints(loaded.objects).of(pool.key)


def _objects(*manifests: Manifest) -> tuple[Object, ...]:
    return load_documents(text(manifests), "test.yaml").objects


def test_endpoints_follow_their_objects() -> None:
    """The endpoints of a pool are the same object as before until a slice or the Service changes."""
    key = next(iter(Rounds()(*GOOD).model.pools)).key
    first = _objects(GOOD[1], endpoint_slice(["10.0.0.1"], 19530))
    endpoints = Endpoints(first)
    before = endpoints.of(key)
    assert [str(endpoint) for endpoint in before] == ["10.0.0.1:19530"]
    endpoints.replace(first)
    assert endpoints.of(key) is before
    endpoints.replace(_objects(GOOD[1], endpoint_slice(["10.0.0.2"], 19530)))
    assert [str(endpoint) for endpoint in endpoints.of(key)] == ["10.0.0.2:19530"]
    endpoints.replace(_objects(GOOD[1]))
    assert endpoints.of(key) == ()


def test_unreadable_and_missing_objects_are_distinguished() -> None:
    """A Service that is created with an error is no longer reported as missing, though it cannot be used."""
    rounds = Rounds()
    unreadable = service()
    unreadable["metadata"]["annotations"]["a/b"] = "\0"
    for manifests, said in ((GOOD[:1], "does not exist"), ([GOOD[0], unreadable], "errors of its own")):
        [error] = [d for d in rounds(*manifests, *GOOD[2:]).diagnostics if d.reason == "ServiceNotFound"]
        assert said in error.message
