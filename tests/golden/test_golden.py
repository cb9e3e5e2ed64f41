"""
Manifests, what they mean, what is wrong with them, and what Envoy gets.

A case is a file ``cases/NAME.in.yaml``; its outcome is in ``cases/NAME.out.yaml``. To add a case, add the input and run
``pytest tests/golden --update-golden``; then read what it wrote.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import pytest

from kiteway.envoy.bootstrap import validate
from tests.golden.inputs import CASES, Translated, translate_text
from tests.golden.rendering import commons, dump, render
from tests.support.static_envoy import static_bootstrap, together
from tests.support.yaml_text import load

COMMON = Path(__file__).parent / "common.yaml"
_COMMON_CASES = ("guide-self-managed", "rest-own-port", "redirect-found", "allow-http-false")
"""Together they have a cluster, a route, an answer and a listener of every kind."""
_TOGETHER = 16
NAMES = sorted(path.name.removesuffix(".in.yaml") for path in CASES.glob("*.in.yaml"))


@pytest.fixture(scope="session")
def updating(pytestconfig: pytest.Config) -> bool:
    """Return whether outcomes are written instead of compared; what no input belongs to is removed."""
    update = bool(pytestconfig.getoption("--update-golden"))
    if update:
        COMMON.write_text(_common())
        for path in CASES.glob("*.out.yaml"):
            if path.name.removesuffix(".out.yaml") not in NAMES:
                path.unlink()
    return update


def _common() -> str:
    found: dict[str, Any] = {}
    for name in _COMMON_CASES:
        found = commons(_translated(name).messages) | found
    return dump(found)


def test_what_all_configurations_have_in_common(updating: bool) -> None:  # noqa: FBT001 - a fixture
    """The common parts are those of the cases from which they are taken."""
    assert _common() == COMMON.read_text()


@pytest.fixture(scope="session")
def common(updating: bool) -> dict[str, Any]:  # noqa: FBT001 - a fixture
    """Return the parts that outcomes are compared with."""
    found: dict[str, Any] = load(COMMON.read_text())
    return found


@functools.cache
def _translated(name: str) -> Translated:
    path = CASES / f"{name}.in.yaml"
    return translate_text(path.read_bytes(), path.name)


@functools.cache
def _accepted_together(envoy: Path, names: tuple[str, ...]) -> bool:
    """Return whether Envoy takes the configurations of several cases in one run, each under names of its own."""
    configs = [bootstrap_of(name) for name in names]
    return validate(envoy, together(configs)) is None


def bootstrap_of(name: str) -> dict[str, Any]:
    """Return a case's configuration as Envoy would start with it."""
    return static_bootstrap(_translated(name).messages, Path("/nonexistent"))


@pytest.mark.parametrize("name", NAMES)
def test_case(name: str, updating: bool, common: dict[str, Any]) -> None:  # noqa: FBT001 - a fixture
    """The manifests have the meaning in the golden file."""
    text = render(_translated(name), common)
    golden = CASES / f"{name}.out.yaml"
    if updating:
        golden.write_text(text)
    assert golden.exists(), "there is no outcome yet: run with --update-golden"
    assert text == golden.read_text()


@pytest.mark.parametrize("name", NAMES)
def test_envoy_accepts(name: str, envoy_binary: Path) -> None:
    """Envoy accepts the configuration that the manifests become."""
    first = NAMES.index(name) // _TOGETHER * _TOGETHER
    # One run costs the same for one case as for many; which of them it was, a separate run shows.
    if not _accepted_together(envoy_binary, tuple(NAMES[first : first + _TOGETHER])):
        assert validate(envoy_binary, bootstrap_of(name)) is None


def test_no_outcome_without_an_input() -> None:
    """Every outcome belongs to a case: none is left from one that was removed or renamed."""
    assert {path.name.removesuffix(".out.yaml") for path in CASES.glob("*.out.yaml")} <= set(NAMES)


def test_every_file_is_an_input_or_an_outcome() -> None:
    """A case under another name than ``NAME.in.yaml`` would be ignored."""
    assert [path.name for path in CASES.iterdir() if not path.name.endswith((".in.yaml", ".out.yaml"))] == []


def test_no_private_key_is_in_an_outcome() -> None:
    """No golden file holds key material, in PEM or in base64."""
    for path in (COMMON, *CASES.glob("*.out.yaml")):
        text = path.read_text()
        assert "PRIVATE KEY" not in text
        assert "UFJJVkFURSBLRVk" not in text, path
