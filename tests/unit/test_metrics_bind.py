"""The value of --metrics-bind."""

from __future__ import annotations

import pytest

from kiteway.cli.options import parse_metrics_bind


@pytest.mark.parametrize("text", ["9092", ":9092", "127.0.0.1", "127.0.0.1:0", "127.0.0.1:x", "localhost:9092", "::1"])
def test_what_is_no_address_is_refused(text: str) -> None:
    """The error for a name, a missing part or an impossible port is a sentence with an example."""
    with pytest.raises(ValueError, match=r"of --metrics-bind is not .*, e\.g\. "):
        parse_metrics_bind(text)
