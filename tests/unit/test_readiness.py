"""The reasons why an instance is not ready, or degraded."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Mapping

import pytest
from typer.testing import CliRunner

from kiteway.cli import app
from kiteway.diagnostics import Diagnostic, ObjectRef, Position, Severity
from kiteway.envoy.ads import LISTENER, ROUTE, AdsState, RejectedAt, Rejection, StreamState
from kiteway.envoy.settings import EnvoySettings
from kiteway.pipeline.pipeline import Outcome, Pipeline
from kiteway.quarantine.quarantine import QuarantineState
from kiteway.report.status import State, Status
from kiteway.resources import load_object
from kiteway.resources.annotations import INGRESS_CLASS
from kiteway.sources.files import SourceContent
from kiteway.status.readiness import shortcomings, why_not_serving
from kiteway.translate import Options
from tests.support.manifests import Manifest, endpoint_slice, ingress, path, rule, service

NOW = dt.datetime(2026, 11, 29, tzinfo=dt.UTC)
SETTLED = QuarantineState()
BIND = "Error adding/updating listener(s) https: cannot bind '0.0.0.0:443': Address already in use"


def stream(
    *,
    active: bool = True,
    refused: Mapping[str, str] | None = None,
    missing: tuple[str, ...] = (),
    kind: str = LISTENER,
) -> StreamState:
    """Return a client that refuses resources with a sentence, and lacks some."""
    refusals = [
        RejectedAt(NOW, Rejection(kind, str(number), {name: "1"}, (name,), certain=True, message=message))
        for number, (name, message) in enumerate((refused or {}).items())
    ]
    return StreamState(
        "n",
        "1.40.0",
        NOW,
        acknowledged={},
        rejected={},
        converged=True,
        refusals=tuple(refusals),
        missing={kind: missing} if missing else {},
        active=active,
    )


def state(*streams: StreamState, active: bool = True) -> AdsState:
    """Return the ADS server's state."""
    return AdsState("1", streams, (), active)


def outcome(*manifests: Manifest, files: bool = False) -> Outcome:
    """Return what manifests come to, in a cluster or in files."""
    objects = [object_ for manifest in manifests for object_ in load_object(dict(manifest)).objects]
    return Pipeline(EnvoySettings(), files=files).run(SourceContent(tuple(objects), (), ()), {}, NOW, Options())


GOOD = (ingress(rule("a.example.com", path("/", "a")), name="a"), service("a"))


def test_a_client_with_all_of_it_serves() -> None:
    """There is no reason and no problem."""
    assert why_not_serving(state(stream()), SETTLED) == ""
    assert shortcomings(outcome(*GOOD, endpoint_slice(["10.0.0.1"], 19530, "a")), state(stream())) == []


def test_a_listener_that_cannot_bind_is_not_ready() -> None:
    """The reason is Envoy's own message, before the first configuration and afterwards."""
    for active in (False, True):
        reason = why_not_serving(state(stream(active=active, refused={"https": BIND}, missing=("https",))), SETTLED)
        assert reason == f"Envoy rejects the Listener https: {BIND}"


def test_a_route_table_that_was_never_taken_is_not_ready() -> None:
    """A listener without its route table answers every host with 404."""
    reason = why_not_serving(state(stream(refused={"https": "bad header"}, missing=("https",), kind=ROUTE)), SETTLED)
    assert reason == "Envoy rejects the RouteConfiguration https: bad header"


def test_a_rejected_change_is_degraded() -> None:
    """The version before stays in force."""
    now = state(stream(refused={"https": "bad"}))
    assert why_not_serving(now, SETTLED) == ""
    assert shortcomings(None, now) == ["Envoy rejects the Listener https: bad"]


def test_before_the_first_configuration_it_is_not_ready() -> None:
    """Neither is it before a client connects; a client that serves while its stream is broken is ready."""
    assert why_not_serving(state(stream(active=False)), SETTLED) == "Envoy has not taken the first configuration yet"
    assert why_not_serving(state(active=False), SETTLED) == "Envoy has not connected to the control plane yet"
    assert why_not_serving(state(active=True), SETTLED) == ""


def test_the_newest_client_counts() -> None:
    """An Envoy that reconnects may appear twice."""
    assert why_not_serving(state(stream(active=False), stream()), SETTLED) == ""
    assert shortcomings(None, state(stream(refused={"https": "bad"}), stream())) == []


def test_a_host_without_any_endpoint_is_degraded() -> None:
    """The reason names the host and its Ingress."""
    assert shortcomings(outcome(*GOOD), state(stream())) == [
        "the host a.example.com of Ingress default/a has no endpoint"
    ]


def test_an_object_with_errors_is_degraded() -> None:
    """The reason names the object once."""
    good = outcome(*GOOD, endpoint_slice(["10.0.0.1"], 19530, "a"))
    about = ObjectRef("Ingress", "default", "b")
    bad = [dataclasses.replace(d, severity=Severity.ERROR, reason="Bad", object=about) for d in good.diagnostics[:1]]
    found = shortcomings(dataclasses.replace(good, diagnostics=(*bad, *bad)), state(stream()))
    assert found == ["Ingress default/b is rejected (Bad)"]
    kept = dataclasses.replace(good, diagnostics=tuple(bad), retained=(about,))
    assert shortcomings(kept, state(stream())) == [
        "Ingress default/b is rejected (Bad); its last good form stays in force"
    ]


def of_class(name: str) -> Manifest:
    """Return the Ingress of `GOOD` with a class."""
    ingress_, _ = GOOD
    return {**ingress_, "metadata": {**ingress_["metadata"], "annotations": {INGRESS_CLASS: name}}}


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("nginx", "Ingress default/a (NothingServed): no host of it is served"),
        ("kitewy", 'Ingress default/a (IngressClassMisspelt): the class "kitewy" is not known'),
        ("gce-internal", "Ingress default/a (IngressClassInternal): the class gce-internal is"),
    ],
)
def test_files_whose_only_ingress_is_left_out_are_degraded(name: str, reason: str) -> None:
    """There is one reason, and it names the Ingress; beside an Ingress that is served there is none."""
    left_out, of_a = of_class(name), GOOD[1]
    slices = endpoint_slice(["10.0.0.1"], 19530, "a")
    [found] = shortcomings(outcome(left_out, of_a, slices, files=True), state(stream()))
    assert found.startswith(reason)
    served = {**GOOD[0], "metadata": {**GOOD[0]["metadata"], "name": "served"}}
    assert shortcomings(outcome(left_out, served, of_a, slices, files=True), state(stream())) == []


def test_files_without_an_ingress_are_degraded() -> None:
    """The reason says that no Ingress leads to the Service."""
    [found] = shortcomings(outcome(GOOD[1], files=True), state(stream()))
    assert found.startswith("Service default/a (NothingServed): no Ingress leads to it")


def test_a_cluster_with_ingresses_of_other_controllers_only_is_ready() -> None:
    """They ask nothing of Kiteway; one with a misspelt class does."""
    assert shortcomings(outcome(of_class("nginx"), GOOD[1]), state(stream())) == []
    [found] = shortcomings(outcome(of_class("kitewy"), GOOD[1]), state(stream()))
    assert found.startswith("Ingress default/a (IngressClassMisspelt)")


@pytest.mark.parametrize(("word", "code"), [("ready", 0), ("degraded", 3), ("not ready", 1)])
def test_status_exits_by_the_state(word: str, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The exit status distinguishes the three states, and the reasons are printed."""
    reasons = [] if word == "ready" else ["because [of] this"]
    monkeypatch.setattr("kiteway.instance.Instance.running_pid", lambda _self: 1)
    value = Status(version="1", state=State(word), reasons=tuple(reasons), ready=word != "not ready")
    monkeypatch.setattr("kiteway.cli.running.read_status", lambda _instance: value)
    result = CliRunner().invoke(app, ["status"])
    assert result.exit_code == code
    assert word in result.output
    assert all(reason in result.output for reason in reasons)


def test_each_unreadable_file_is_named() -> None:
    """Two files that are not YAML are two reasons, each with its place."""
    good = outcome(*GOOD, endpoint_slice(["10.0.0.1"], 19530, "a"))
    bad = tuple(
        Diagnostic(Severity.ERROR, "YamlSyntax", "it is not YAML.", position=Position(file, 3, 1))
        for file in ("a", "b")
    )
    found = shortcomings(dataclasses.replace(good, diagnostics=bad), state(stream()))
    assert found == ["a:3:1: YamlSyntax: it is not YAML.", "b:3:1: YamlSyntax: it is not YAML."]
