"""The web page's history: bounded, and honest about what it does not know."""

from __future__ import annotations

import math

from kiteway.dashboard.history import IDLE_POINTS, History, Point

ONE, OTHER, THIRD = ("endpoint", "a"), ("endpoint", "b"), ("endpoint", "c")


def test_a_plot_has_the_newest_points_oldest_first() -> None:
    """The ring has turned twice."""
    history = History(points=4)
    for number in range(10):
        history.add(float(number), {ONE: Point(calls=number + 1, p99=0.5)})

    plot = history.plot(ONE, 3)

    assert plot is not None
    assert plot.at == [7, 8, 9]
    assert plot.calls == [8, 9, 10]
    assert plot.p99 == [0.5, 0.5, 0.5]
    assert plot.cached == [None, None, None]
    assert history.plot(OTHER, 3) is None


def test_no_calls_are_zero_and_no_answer_is_unknown() -> None:
    """A gap of the process must not look like a gap of the traffic."""
    history = History(points=8)
    history.add(0, {ONE: Point(calls=3, p50=0.1)})
    history.add(1, {})
    history.skip(2)
    history.add(3, {ONE: Point(calls=4, p99=math.inf)})

    plot = history.plot(ONE, 8)

    assert plot is not None
    assert plot.calls == [3, 0, None, 4]
    assert plot.p50 == [0.1, None, None, None]
    assert plot.p99[-1] == 60


def test_a_new_series_does_not_know_the_time_before_it() -> None:
    """Its plot begins with its first calls."""
    history = History(points=8)
    history.add(0, {ONE: Point(calls=1)})
    history.add(1, {ONE: Point(calls=1), OTHER: Point(calls=2)})

    plot = history.plot(OTHER, 8)

    assert plot is not None
    assert plot.calls == [None, 2]


def test_a_full_history_takes_the_busiest_and_gives_up_the_idle() -> None:
    """The number of series is bounded, whatever there is."""
    history = History(series=2, points=4)
    history.add(0, {ONE: Point(calls=1), OTHER: Point(calls=5), THIRD: Point(calls=3)})
    assert history.plot(ONE, 1) is None
    assert history.number == 2
    assert history.full

    for number in range(1, IDLE_POINTS):
        history.add(number, {OTHER: Point(calls=5), ONE: Point(calls=1)})
    assert history.plot(ONE, 1) is None
    history.add(IDLE_POINTS, {OTHER: Point(calls=5), ONE: Point(calls=1)})

    assert history.plot(THIRD, 1) is None
    assert history.plot(ONE, 1) is not None
    assert history.plot(OTHER, 1) is not None
    assert history.number == 2
