"""Each rule about this machine, and the facts that it uses."""

from __future__ import annotations

import dataclasses
import os
import socket
from pathlib import Path
from typing import Any

import pytest

from kiteway.doctor import RULES, MachineFacts, Result, Scope, examine
from kiteway.doctor import machine as module
from kiteway.doctor.machine import look_at_machine, parse_version
from kiteway.instance import Instance
from kiteway.ports import Holder
from kiteway.report.exports import ExportReport

GOOD = MachineFacts(
    envoy="/usr/bin/envoy", envoy_version=(1, 40, 1), migrate_req=1, descriptors=1 << 20, ports_taken={}
)

# Rule, facts that make it fire, its words, facts that nearly do.
CASES: list[tuple[str, dict[str, Any], str, dict[str, Any]]] = [
    ("ENVOY_FOUND", {"envoy_problem": "No Envoy binary found."}, "No Envoy binary found", {"envoy_version": None}),
    (
        "ENVOY_VERSION",
        {"envoy_version": (1, 40, 0)},
        "Envoy 1.40.0 lacks the security fixes of 1.40.1",
        {"envoy_version": (1, 41, 0)},
    ),
    ("FILTER_PRESENT", {"filter_problem": "It is not there; build it."}, "It is not there.", {"cargo": False}),
    (
        "CARGO_MISSING",
        {"cargo": False, "filter_problem": "It is not there."},
        "cargo is not on PATH",
        {"filter_problem": "It is not there."},
    ),
    ("EXTRAS_MISSING", {"missing_extras": ("verify",)}, "the extra verify is not installed", {"missing_extras": ()}),
    ("PORTS_FREE", {"ports_taken": {8443: "in use"}}, "port 8443 of 127.0.0.1 cannot be used: in use", {}),
    ("TCP_MIGRATE_REQ", {"migrate_req": 0}, "net.ipv4.tcp_migrate_req is 0", {"migrate_req": 1}),
    ("FILE_DESCRIPTORS", {"descriptors": 4096}, "a process may open 4096 files", {"descriptors": 65_536}),
    (
        "OTLP_EXPORT",
        {"export": ExportReport(endpoint="http://c:4318", sampling_percent=1, logs=False, problem="it is away")},
        "exports to the collector http://c:4318 are lost: it is away",
        {"export": ExportReport(endpoint="http://c:4318", sampling_percent=1, logs=False)},
    ),
    ("NETNS_PERMITTED", {"netns_problem": "not permitted"}, "not permitted", {}),
]


def test_every_rule_has_a_case() -> None:
    """Every rule about the machine has a case here, and every case a rule."""
    assert sorted(case[0] for case in CASES) == sorted(rule.id for rule in RULES if rule.scope is Scope.MACHINE)


@pytest.mark.parametrize(("rule_id", "changes", "words", "near_miss"), CASES)
def test_a_rule_fires_and_stays_silent(
    rule_id: str, changes: dict[str, Any], words: str, near_miss: dict[str, Any]
) -> None:
    """The report names the problem and says what to do; similar facts pass."""
    rule = next(rule for rule in RULES if rule.id == rule_id)
    (found,) = rule.check(dataclasses.replace(GOOD, **changes))
    assert found.result is Result.FAILED
    assert words in found.message
    assert found.fix.endswith(".")
    (passed,) = rule.check(dataclasses.replace(GOOD, **near_miss))
    assert passed.result is Result.PASSED


def test_only_envoy_is_needed() -> None:
    """A machine with only Envoy has warnings; without Envoy there is a failure."""
    bare = dataclasses.replace(
        GOOD, filter_problem="x.", cargo=False, missing_extras=("verify",), descriptors=1024, netns_problem="x"
    )
    assert not examine(Scope.MACHINE, bare).failed
    assert examine(Scope.MACHINE, dataclasses.replace(bare, envoy_problem="none.")).failed


def test_an_envoy_too_old_for_the_filter_fails() -> None:
    """An Envoy below 1.38 is a failure, because Kiteway cannot use it."""
    assert examine(Scope.MACHINE, dataclasses.replace(GOOD, envoy_version=(1, 37, 99))).failed


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("envoy  version: 1234abcd/1.40.0/Clean/RELEASE/BoringSSL", (1, 40, 0)),
        ("envoy  version: 1234abcd/1.41.0-dev/Modified/DEBUG/BoringSSL", (1, 41, 0)),
        ("Segmentation fault", None),
    ],
)
def test_envoys_version_is_read(text: str, version: tuple[int, int, int] | None) -> None:
    """The version is read from Envoy's output; any other output is no version."""
    assert parse_version(text) == version


def test_a_port_that_is_held_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """A port on which another process listens is reported, a free one is not."""
    with socket.create_server(("127.0.0.1", 0)) as held, socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        ports = (held.getsockname()[1], free.getsockname()[1])
        free.close()
        monkeypatch.setattr(module, "PORTS", ports)
        facts = look_at_machine()
    assert set(facts.ports_taken) == {ports[0]}
    assert f"(process {os.getpid()}, user " in facts.ports_taken[ports[0]]


def test_the_port_of_a_running_kiteway_is_not_a_problem(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The report names its data directory, in place of the advice to end it."""
    ours = Holder(7, "envoy", "root", Instance(tmp_path), 6)
    with socket.create_server(("127.0.0.1", 0)) as held:
        monkeypatch.setattr(module, "PORTS", (held.getsockname()[1],))
        monkeypatch.setattr(module, "holders", lambda _: [ours])
        facts = look_at_machine()
    assert facts.ports_taken == {}
    assert list(facts.ports_of_kiteway.values()) == [tmp_path]
    rule = next(rule for rule in RULES if rule.id == "PORTS_FREE")
    said = rule.check(dataclasses.replace(GOOD, ports_of_kiteway={8443: tmp_path}))
    assert [(found.result, found.message) for found in said] == [
        (Result.PASSED, f"port 8443 is used by the Kiteway with the data directory {tmp_path}."),
        (Result.PASSED, "free: 8080."),
    ]


def test_an_envoy_that_does_not_run_is_reported(tmp_path: Path) -> None:
    """If the file of --envoy is no program, the report says so, without an exception."""
    file = tmp_path / "envoy"
    file.write_text("this is no program")
    assert "is not an executable file" in look_at_machine(file).envoy_problem
    file.chmod(0o755)
    assert "does not run" in look_at_machine(file).envoy_problem
