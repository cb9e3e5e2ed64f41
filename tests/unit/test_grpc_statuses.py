"""The names of the gRPC statuses are the same in the probes, the filter and grpcio."""

from __future__ import annotations

from pathlib import Path

import grpc
import msgspec

from kiteway.probe.grpc import STATUS_NAMES

CORPUS: list[str] = msgspec.json.decode((Path(__file__).parents[2] / "filter/testdata/grpc_statuses.json").read_bytes())


def test_the_names_are_those_of_the_filter() -> None:
    """The filter's own test compares its names with the same file."""
    assert list(STATUS_NAMES) == CORPUS


def test_the_names_are_those_of_grpc() -> None:
    """Each number has the name that grpcio gives it."""
    assert {code.value[0]: code.name for code in grpc.StatusCode} == dict(enumerate(CORPUS))
