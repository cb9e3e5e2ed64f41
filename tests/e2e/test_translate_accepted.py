"""Envoy accepts what the translation gives for any input."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given

from kiteway.envoy.bootstrap import validate
from tests.support.examples import examples
from tests.support.manifests import Manifest
from tests.support.static_envoy import static_bootstrap
from tests.unit.test_translate_properties import broken_guides, built


@pytest.mark.e2e
@pytest.mark.timeout(300)  # Envoy starts forty times
def test_whatever_is_left_is_accepted_by_envoy(envoy_binary: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Envoy accepts the configuration that a broken guide still gives."""

    @given(broken_guides())
    @examples(40)
    def check(manifests: list[Manifest]) -> None:
        _, messages = built(manifests)
        assert validate(envoy_binary, static_bootstrap(messages, tmp_path_factory.mktemp("v"))) is None

    check()
