"""Where the metrics are served, as the command line says it."""

from __future__ import annotations

import socket

import pytest

from kiteway.cli.options import parse_metrics_bind


@pytest.mark.parametrize("text", ["9092", ":9092", "127.0.0.1", "127.0.0.1:0", "127.0.0.1:x", "localhost:9092", "::1"])
def test_what_is_no_address_is_refused(text: str) -> None:
    """A name, a missing part or an impossible port is a sentence with an example."""
    with pytest.raises(ValueError, match=r"of --metrics-bind is not .*, e\.g\. "):
        parse_metrics_bind(text)


def test_a_port_in_use_is_refused_at_once() -> None:
    """It is said before anything starts, and not in a log of a child that ends again and again."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(ValueError, match=r"cannot listen on .* in use.*; choose another"):
            parse_metrics_bind(address)
    assert parse_metrics_bind(address) == address
