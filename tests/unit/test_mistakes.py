"""What `kiteway up -f` says of errors while it runs."""

from __future__ import annotations

import msgspec
import pytest

from kiteway.cli.mistakes import tell
from kiteway.diagnostics import Position, Severity
from kiteway.report.problem import ObjectName, Problem
from kiteway.report.status import Errors

INGRESS = ObjectName("Ingress", "a", "b")
START = Errors(loads=1)


def problem(reason: str, about: ObjectName | None = INGRESS, position: Position | None = None) -> Problem:
    """Return an error."""
    return Problem(Severity.ERROR, reason, "It is wrong.", about, position)


def warning(reason: str, line: int = 1) -> Problem:
    """Return a warning."""
    return Problem(Severity.WARNING, reason, "It is odd.", INGRESS, Position("a.yaml", line, 1))


def test_an_object_that_keeps_its_last_form_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    """It is named once, and not again for a further error."""
    first = Errors(errors=(problem("PathInvalid"),), retained=(str(INGRESS.ref),), loads=2)
    tell(first, START)
    assert capsys.readouterr().err.splitlines()[-1] == "the last good form of Ingress a/b stays in force"

    tell(Errors(errors=(*first.errors, problem("HostInvalid")), retained=first.retained, loads=3), first)
    said = capsys.readouterr().err
    assert "HostInvalid" in said
    assert "in force" not in said


def test_an_error_beside_which_all_else_is_served_is_told_alone(capsys: pytest.CaptureFixture[str]) -> None:
    """A conflict of hosts, or a cache without memory, keeps no older form of anything."""
    tell(Errors(errors=(problem("HostConflict"),), loads=2), START)
    said = capsys.readouterr().err

    assert "HostConflict" in said
    assert "in force" not in said


def test_a_file_that_cannot_be_read_keeps_its_objects(capsys: pytest.CaptureFixture[str]) -> None:
    """One line for a file with several errors."""
    errors = tuple(problem("YamlSyntax", None, Position("a.yaml", line, 1)) for line in (2, 9))
    tell(Errors(errors=errors, loads=2), START)
    said = capsys.readouterr().err

    assert said.count("in force") == 1
    assert said.endswith("the objects that a.yaml had before stay in force until it can be read\n")


def test_a_warning_that_an_edit_brings_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """An Ingress whose class is misspelt is left out, and that is only a warning."""
    before = Errors(warnings=(warning("AllowHttpOpen"),), loads=1)
    tell(Errors(warnings=(warning("AllowHttpOpen", 9), warning("IngressClassMisspelt")), loads=2), before)
    said = capsys.readouterr().err

    assert "IngressClassMisspelt" in said
    assert said.endswith("loaded the changed manifests: no errors, 1 new warning\n")
    assert "AllowHttpOpen" not in said, "a warning whose line has moved is not new"


@pytest.mark.parametrize("asked", [True, False])
def test_the_warnings_of_the_start_are_told_where_they_are_asked_for(
    capsys: pytest.CaptureFixture[str], *, asked: bool
) -> None:
    """Many good manifests have one; where nothing is served, or Kiteway wrote the manifests, it is the reason."""
    tell(Errors(warnings=(warning("IngressClassMisspelt"),), loads=1), None, warnings=asked)
    assert ("IngressClassMisspelt" in capsys.readouterr().err) is asked


def test_one_error_is_one(capsys: pytest.CaptureFixture[str]) -> None:
    """The count of errors has its word."""
    left = Errors(errors=(warning("YamlSyntax"),), loads=2)
    tell(left, msgspec.structs.replace(left, loads=1))
    assert capsys.readouterr().err == "loaded the changed manifests: 1 error as before\n"
