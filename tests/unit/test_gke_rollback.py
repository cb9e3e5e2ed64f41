"""Rollback plans, made from invented readings."""

from __future__ import annotations

import dataclasses

import yaml

from kiteway.gke.live import ClusterReading, StaticAddress
from kiteway.gke.names import names
from kiteway.gke.objects import ingress, tls_secret
from kiteway.gke.record import make_record
from kiteway.gke.rollback import make_rollback
from kiteway.gke.shell import Shell
from kiteway.gke.step import State
from kiteway.gke.values import merged, upgraded
from tests.support.gke import HOST, VALUES, live, release, wanted

SHELL = Shell()


def _applied(before: ClusterReading | None = None) -> ClusterReading:
    """Return what is there after an apply."""
    start = before or live()
    called = names(start, release(), wanted())
    items = [
        ingress(start, wanted(), called),
        tls_secret(called.certificate, "default", HOST),
        tls_secret(called.backend_certificate, "default", HOST),
    ]
    return live(
        release=release(upgraded(release(), wanted(), called)),
        objects={(i["kind"], "default", i["metadata"]["name"]): i for i in items},
        record=make_record(start, release(), wanted(), called),
    )


def test_without_a_record_there_is_nothing_to_roll_back() -> None:
    """A release without a record is not changed."""
    plan = make_rollback(live(), SHELL)
    assert plan.steps == ()
    assert [p.reason for p in plan.problems] == ["NothingRecorded"]


def test_the_record_goes_last() -> None:
    """The record stays until everything else is restored, for a further run."""
    steps = [step.id for step in make_rollback(_applied(), SHELL, destroy=True).steps]
    assert steps[0] == "ingress"
    assert steps[-1] == "record"


def test_the_values_of_the_start_are_all_that_is_given_to_helm() -> None:
    """Helm gets the user's complete original values, with the user's later changes."""
    reading = _applied()
    assert reading.release is not None
    later = release(merged(reading.release.values, {"queryNode": {"replicas": 7}}))
    step = make_rollback(dataclasses.replace(reading, release=later), SHELL).step("values")
    assert step is not None
    command = step.commands[0]
    assert "--reset-values" in command.argv
    assert command.stdin is not None
    assert yaml.safe_load(command.stdin()) == {**VALUES, "queryNode": {"replicas": 7}}


def test_a_certificate_of_the_users_is_kept() -> None:
    """Only Secrets that kiteway gke made are deleted."""
    reading = _applied()
    theirs = dict(reading.objects["Secret", "default", "my-release-milvus-tls"])
    theirs["metadata"] = {"name": "my-release-milvus-tls", "namespace": "default"}
    objects = {**reading.objects, ("Secret", "default", "my-release-milvus-tls"): theirs}
    step = make_rollback(dataclasses.replace(reading, objects=objects), SHELL).step("certificates")
    assert step is not None
    assert [command.argv[3] for command in step.commands] == ["my-release-milvus-backend-tls"]


def test_an_ingress_that_was_there_before_is_put_back() -> None:
    """An Ingress that existed before is restored, not deleted."""
    old = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": "my-release-milvus", "namespace": "default", "resourceVersion": "7"},
        "spec": {"rules": [{"host": "other.example.com"}]},
    }
    step = make_rollback(_applied(live(objects={("Ingress", "default", "my-release-milvus"): old})), SHELL).step(
        "ingress"
    )
    assert step is not None
    assert [command.argv[1] for command in step.commands] == ["replace"]
    assert step.commands[0].stdin is not None
    put = yaml.safe_load(step.commands[0].stdin())
    assert put["spec"] == old["spec"]
    assert "resourceVersion" not in put["metadata"]


def test_the_address_is_given_back_only_if_it_was_reserved_here() -> None:
    """An address that the user had reserved is not released."""
    reading = dataclasses.replace(_applied(), static_address=StaticAddress(known=True, address="198.51.100.7"))
    assert reading.record is not None
    theirs = dataclasses.replace(reading, record={**reading.record, "createdStaticAddress": False})
    ours, kept = (make_rollback(r, SHELL, destroy=True).step("static-ip") for r in (reading, theirs))
    assert ours is not None
    assert kept is not None
    assert (ours.state, kept.state) == (State.TODO, State.DONE)
