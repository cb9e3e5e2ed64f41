"""The reference documentation is complete."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from kiteway.diagnostics import Diagnostic, Severity
from kiteway.doctor import RULES
from kiteway.explanations import explanations
from kiteway.resources import KINDS
from kiteway.resources import annotations as keys
from tools import generate_reference
from tools.reference import annotation_keys, cli, diagnostics, doctor, resources, status
from tools.reference.reasons import Reason, reasons

GOLDEN = Path(__file__).parents[1] / "golden/cases"


@pytest.fixture(scope="module")
def emitted() -> dict[str, Reason]:
    """Return every reason that is found in the source."""
    return {reason.name: reason for reason in reasons()}


def test_every_reason_of_the_golden_cases_has_an_entry() -> None:
    """Every reason in a golden file has a section in the reference, under the anchor of its link."""
    page = diagnostics.render()
    anchors = {
        f"docs/reference/diagnostics.md#{found.lower()}" for found in re.findall(r"^## (\w+)$", page, re.MULTILINE)
    }
    lines = [line for path in GOLDEN.glob("*.out.yaml") for line in path.read_text().splitlines()]
    told = {found[1] for line in lines if (found := re.search(r"(?:error|warning|note) (\w+): ", line))}
    assert len(told) > 20
    assert {reason for reason in told if Diagnostic(Severity.ERROR, reason, "").docs not in anchors} == set()


def test_every_reason_that_a_rule_judges_by_exists(emitted: dict[str, Reason]) -> None:
    """A doctor rule for a reason that no code gives would always pass."""
    assert {reason for rule in RULES for reason in rule.reasons} - set(emitted) == set()


def test_every_reason_and_every_rule_has_an_explanation(emitted: dict[str, Reason]) -> None:
    """`kiteway explain` has a text for every code that a report can show."""
    known = explanations()
    assert set(emitted) | {rule.id for rule in RULES} <= known.keys()
    assert all(each.text for each in known.values())


def test_an_entry_says_something(emitted: dict[str, Reason]) -> None:
    """Nearly all reasons have texts from the source, and no text is in Python's notation."""
    silent = {reason.name for reason in emitted.values() if not reason.meaning and not reason.messages}
    assert silent <= {"PreSharedCertInvalid", "UserYamlUnreadable"}
    assert not re.search(r"\*[a-z ]+\*\{|\{[a-z_]+\}\}", diagnostics.render())


def test_messages_and_fixes_are_sentences(emitted: dict[str, Reason]) -> None:
    """A message and its fix are printed one after the other, so each ends with a full stop, or with another's message."""
    texts = [text for reason in emitted.values() for text in (*reason.messages, *reason.fixes)]
    assert [text for text in texts if not text.rstrip('"').endswith((".", "?", ".)", "{message}"))] == []


SOURCE = '''
OWN: Final = "OwnReason"
"""Its meaning."""

class Thing:
    def report(self, severity, reason, message, fix=""): ...

def leaf(reason, message, fix): ...

def function(thing, name, known):
    thing.report(Severity.NOTE, "ByMethod", f"the {name} is bad.", "Do this.")
    leaf(OWN, "by constant.", "That.")
    if known:
        reason, message = "InBranch", "first."
    else:
        message, reason = "second.", "InOtherBranch"
    leaf(reason, f"it {message}", "")
    leaf("ByChoice" if known else "ByOtherChoice", message="x", fix="y")
    replace(thing, reason="ByKeyword")
    log("NotAReason", name)

def judged():
    return "ByReturn", f"in {OWN}.", "Replace it."
'''


def test_each_way_of_giving_a_reason_is_found(tmp_path: Path) -> None:
    """
    A reason is found with its own text in a method, function, constant, branch, choice, keyword and return; a
    log message is not one.
    """
    (tmp_path / "module.py").write_text(SOURCE)
    found = {reason.name: reason for reason in reasons(tmp_path)}
    assert set(found) == {
        "ByMethod",
        "OwnReason",
        "InBranch",
        "InOtherBranch",
        "ByChoice",
        "ByOtherChoice",
        "ByKeyword",
        "ByReturn",
    }
    assert found["ByMethod"] == Reason("ByMethod", "", ["note"], ["the {name} is bad."], ["Do this."])
    assert found["OwnReason"].meaning == "Its meaning."
    assert found["InBranch"].messages == ["it first."]
    assert found["InOtherBranch"].messages == ["it second."]
    assert found["ByReturn"].messages == ["in OwnReason."]


def test_every_kind_and_field_is_described() -> None:
    """Each kind has a section, and the deepest fields are there with their whole path."""
    page = resources.render()
    assert re.findall(r"^## (\w+)$", page, re.MULTILINE) == list(KINDS)
    for path in (
        "spec.rules[].http.paths[].backend.service.port.number",
        "spec.healthCheck.checkIntervalSec",
        "spec.redirectToHttps.responseCodeName",
        "endpoints[].conditions.ready",
        "status.domainStatus[].status",
        "metadata.creationTimestamp",
    ):
        assert f"| `{path}` |" in page
    assert "| 15 (NEG), 60 (instance group) | ingress-gce pkg/apis/backendconfig/v1/types.go | full |" in page


def test_every_annotation_is_described() -> None:
    """Each key that the code knows is in the page, under its kind."""
    page = annotation_keys.render()
    known = {value for name, value in vars(keys).items() if name.isupper() and isinstance(value, str) and "/" in value}
    assert {key for key in known if f"| `{key}" not in page} == set()
    on_service, on_ingress = page.split("## On an Ingress")
    assert keys.NEG in on_service
    assert keys.ALLOW_HTTP in on_ingress


def test_every_rule_is_described() -> None:
    """Each doctor rule has the section to which its link leads."""
    headings = {heading.lower() for heading in re.findall(r"^### (\w+)$", doctor.render(), re.MULTILINE)}
    assert {rule.docs.partition("#")[2] for rule in RULES} == headings


def test_every_command_is_described() -> None:
    """Each command has its section, with options, defaults and the examples of its help."""
    page = cli.render()
    headings = re.findall(r"^## (.+)$", page, re.MULTILINE)
    assert {"kiteway up", "kiteway plan", "kiteway doctor", "kiteway verify", "kiteway cert create"} <= set(headings)
    assert "| `--https-port` `INT` | The HTTPS port. | `8443` |" in page
    assert "```sh\nkiteway doctor\nkiteway doctor -f examples/guide-self-managed -f values.yaml\n" in page
    assert "`table|json|yaml|envoy`".replace("|", "\\|") in page


def test_every_field_of_the_status_is_described() -> None:
    """Each field of the JSON schema, however deep, is in the page with its path and a meaning."""
    page = status.render()
    rows = dict(re.findall(r"^\| `([^`]+)` \| .+ \| (.+) \|$", page, re.MULTILINE))
    for path in (
        "state",
        "pools[].endpoints[].why",
        "supervisor.children{}.silentSince",
        "diagnostics[].position.line",
    ):
        assert rows[path]
    schema = json.loads(status.render_schema())
    names = {name for struct in schema["$defs"].values() for name in struct.get("properties", ())}
    assert names == {part.removesuffix("[]").removesuffix("{}") for path in rows for part in path.split(".")}


def test_a_stale_page_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With --check nothing is written, outdated pages are named, and after writing them the check passes."""
    monkeypatch.setattr(generate_reference, "ROOT", tmp_path)
    monkeypatch.setattr(generate_reference, "FOLDER", tmp_path / "reference")
    monkeypatch.setattr(generate_reference, "PAGES", {"a.md": lambda: "A\n", "b.md": lambda: "B\n"})
    assert generate_reference.main([]) == 0
    (tmp_path / "reference/b.md").write_text("changed\n")
    assert generate_reference.main(["--check"]) == 1
    assert capsys.readouterr().err == "reference/b.md out of date: run `make reference`\n"
    assert generate_reference.main([]) == 0
    assert generate_reference.main(["--check"]) == 0
    assert generate_reference.main(["--other"]) == 2
