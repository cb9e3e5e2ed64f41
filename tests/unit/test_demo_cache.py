"""The part of the demo that shows the cache."""

from __future__ import annotations

import pytest

from kiteway.demo import cache
from kiteway.demo.cache import CacheNotShownError, until_hit
from kiteway.demo.report import SearchReport


class Searches:
    """Answers with these outcomes in turn, the last one again and again."""

    def __init__(self, *outcomes: str) -> None:
        self._outcomes = list(outcomes)
        self.number = 0

    def __call__(self) -> SearchReport:
        """Answer once."""
        outcome = self._outcomes[min(self.number, len(self._outcomes) - 1)]
        self.number += 1
        return SearchReport(outcome, self.number / 1000)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "_PAUSE_SECONDS", 0.001)
    monkeypatch.setattr(cache, "_HIT_SECONDS", 0.05)


def test_the_search_before_the_hit_is_the_one_to_compare() -> None:
    """The first ones teach the filter; the last of them is Milvus's answer to the same search."""
    searches = Searches("bypass; reason=level-unknown", "bypass; reason=no-sample", "miss", "hit; age=1.2")

    assert until_hit(searches) == (SearchReport("miss", 0.003), SearchReport("hit; age=1.2", 0.004))


def test_a_cache_that_does_not_answer_is_said_to() -> None:
    """The reason is in the sentence."""
    with pytest.raises(CacheNotShownError, match=r"within 0\.05 s; the last one was: bypass; reason=no-sample"):
        until_hit(Searches("bypass; reason=no-sample"))


def test_answers_without_the_header_end_the_search_at_once() -> None:
    """There is no cache on the way."""
    searches = Searches("")
    with pytest.raises(CacheNotShownError, match="have no header kiteway-cache"):
        until_hit(searches)
    assert searches.number == 2
