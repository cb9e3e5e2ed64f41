"""The YAML that tests write."""

from __future__ import annotations

import pytest
import yaml

from tests.support.yaml_text import documents


@pytest.mark.parametrize("text", ["plain", "\ud800", "true", "é\n☃", "\x00"])
def test_every_text_can_be_written(text: str) -> None:
    """What Python's own writer takes is written too, with the same meaning: also half of a surrogate pair."""
    given = [{"key": text}, [text]]
    assert list(yaml.safe_load_all(documents(iter(given)))) == list(
        yaml.safe_load_all(yaml.safe_dump_all(given, sort_keys=False))
    )
