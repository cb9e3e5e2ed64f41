"""An endpoint that is removed from a pool drains for the BackendConfig's drainingTimeoutSec."""

from __future__ import annotations

import dataclasses
import datetime as dt

from kiteway.diagnostics import ObjectRef
from kiteway.model import (
    BackendProtocol,
    Endpoint,
    EndpointState,
    Pool,
    PoolKey,
)
from kiteway.translate.shared.draining import Draining

KEY = PoolKey("default", "milvus", 19530)
POOL = Pool(
    key=KEY,
    protocol=BackendProtocol.HTTP,
    health_check=None,
    draining=60,
    rest=False,
    source=ObjectRef("Service", "default", "milvus"),
)
START = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
A, B = Endpoint("10.0.0.1", 19530), Endpoint("10.0.0.2", 19530)


def after(seconds: float) -> dt.datetime:
    """Return a time."""
    return START + dt.timedelta(seconds=seconds)


def draining(endpoint: Endpoint) -> Endpoint:
    """Return the endpoint as one that drains."""
    return dataclasses.replace(endpoint, state=EndpointState.DRAINING)


def test_present_endpoints_are_passed_on() -> None:
    """Without a removal the table is that of the sources, and there is nothing to wait for."""
    state = Draining()

    assert state.update(POOL, (A, B), START) == (A, B)
    assert state.next_end() is None


def test_an_endpoint_that_leaves_drains_for_its_time() -> None:
    """The endpoint is draining until drainingTimeoutSec is over, and then removed."""
    state = Draining()
    state.update(POOL, (A, B), START)

    assert state.update(POOL, (A,), after(10)) == (A, draining(B))
    assert state.next_end() == after(70)
    assert state.ended(after(69.9)) == set()
    assert state.ended(after(70)) == {KEY}
    assert state.update(POOL, (A,), after(69.9)) == (A, draining(B))
    assert state.update(POOL, (A,), after(70)) == (A,)
    assert state.next_end() is None


def test_looking_again_does_not_prolong_it() -> None:
    """The time counts from the removal, however often the table is read."""
    state = Draining()
    state.update(POOL, (B,), START)
    for second in range(1, 60):
        assert state.update(POOL, (), after(second)) == (draining(B),)

    assert state.next_end() == after(61)


def test_one_that_comes_back_is_an_endpoint_again() -> None:
    """Adding the endpoint again ends the draining, and the next removal has the full time."""
    state = Draining()
    state.update(POOL, (A,), START)
    state.update(POOL, (), after(1))

    assert state.update(POOL, (A,), after(2)) == (A,)
    assert state.next_end() is None
    state.update(POOL, (), after(50))
    assert state.next_end() == after(110)


def test_without_a_draining_time_it_is_gone_at_once() -> None:
    """With GKE's default, 0, the endpoint is removed at once."""
    state = Draining()
    pool = dataclasses.replace(POOL, draining=0)
    state.update(pool, (A, B), START)

    assert state.update(pool, (A,), after(1)) == (A,)


def test_a_pool_that_is_gone_is_forgotten() -> None:
    """No state of a removed pool is left, also when it is added again."""
    state = Draining()
    state.update(POOL, (A,), START)

    state.update(POOL, (), after(0.5))
    state.keep([])

    assert state.next_end() is None
    assert state.update(POOL, (B,), after(2)) == (B,)
    assert state.next_end() is None


def test_a_new_health_port_is_no_departure() -> None:
    """An endpoint is identified by address and port; its other properties may change."""
    state = Draining()
    state.update(POOL, (A,), START)
    changed = dataclasses.replace(A, health_port=9091, zone="a")

    assert state.update(POOL, (changed,), after(1)) == (changed,)
