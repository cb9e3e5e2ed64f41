"""What the status says of the connections to endpoints."""

from __future__ import annotations

import pytest

from kiteway.envoy.admin import EndpointStatus
from kiteway.model import BackendProtocol
from kiteway.report.pools import EndpointFailure
from kiteway.status.backend_tls import upstream_tls_report
from tests.e2e.traffic import pool


@pytest.mark.parametrize(
    ("protocol", "failures", "succeeded", "failed", "named"),
    [
        (BackendProtocol.HTTP, frozenset[EndpointFailure](), 0, 2, True),
        (BackendProtocol.HTTP, frozenset[EndpointFailure](), 0, 1, False),
        (BackendProtocol.HTTP, frozenset[EndpointFailure](), 1, 2, False),
        (BackendProtocol.HTTP, frozenset({EndpointFailure.ACTIVE_CHECK}), 0, 2, False),
        (BackendProtocol.HTTP2, frozenset[EndpointFailure](), 0, 2, False),
    ],
)
def test_a_plaintext_endpoint_that_breaks_every_call_is_named(
    protocol: BackendProtocol, failures: frozenset[EndpointFailure], succeeded: int, failed: int, *, named: bool
) -> None:
    """It passes its check and serves no call: Milvus may speak TLS there."""
    endpoint = EndpointStatus("10.0.0.1:19530", failures, 1, {"rq_success": succeeded, "rq_error": failed})

    problems = upstream_tls_report(pool(protocol=protocol), {}, [endpoint]).problems

    assert bool(problems) is named
    assert all("no call to 10.0.0.1:19530 has succeeded" in each and "app-protocols" in each for each in problems)
