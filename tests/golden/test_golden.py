"""
Manifests, what they mean, what is wrong with them, and what Envoy gets.

A case is a file ``cases/NAME.in.yaml``; its outcome is in ``cases/NAME.out.yaml``. To add a case, add the input and run
``pytest tests/golden --update-golden``; then read what it wrote.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from kiteway.envoy.bootstrap import validate
from tests.golden.inputs import CASES, translate_text
from tests.golden.rendering import commons, dump, render
from tests.support.static_envoy import static_bootstrap

COMMON = Path(__file__).parent / "common.yaml"
_COMMON_CASES = ("guide-self-managed", "rest-own-port", "redirect-found", "allow-http-false")
"""Together they have a cluster, a route, an answer and a listener of every kind."""
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
        path = CASES / f"{name}.in.yaml"
        found = commons(translate_text(path.read_bytes(), path.name).messages) | found
    return dump(found)


def test_what_all_configurations_have_in_common(updating: bool) -> None:  # noqa: FBT001 - a fixture
    """The parts that the cases are compared with are those of the cases that stand for all."""
    assert _common() == COMMON.read_text()


@pytest.mark.parametrize("name", NAMES)
def test_case(name: str, updating: bool, envoy_binary: Path, tmp_path: Path) -> None:  # noqa: FBT001 - a fixture
    """The manifests mean what the golden file says, and Envoy accepts what they come to."""
    path = CASES / f"{name}.in.yaml"
    case = translate_text(path.read_bytes(), path.name)
    text = render(case, yaml.safe_load(COMMON.read_text()))
    golden = CASES / f"{name}.out.yaml"
    if updating:
        golden.write_text(text)
    assert golden.exists(), "there is no outcome yet: run with --update-golden"
    assert text == golden.read_text()
    assert validate(envoy_binary, static_bootstrap(case.messages, tmp_path)) is None


def test_no_outcome_without_an_input() -> None:
    """Every outcome belongs to a case: none is left over from one that was removed or renamed."""
    assert {path.name.removesuffix(".out.yaml") for path in CASES.glob("*.out.yaml")} <= set(NAMES)


def test_no_private_key_is_in_an_outcome() -> None:
    """No golden file holds key material, in PEM or in base64."""
    for path in (COMMON, *CASES.glob("*.out.yaml")):
        text = path.read_text()
        assert "PRIVATE KEY" not in text
        assert "UFJJVkFURSBLRVk" not in text, path
