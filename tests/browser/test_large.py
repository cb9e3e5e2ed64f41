"""The web page of a Kiteway with 1,000 hosts and 10,000 endpoints, in a real browser."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from kiteway.dashboard.paging import PAGE_ROWS
from tests.browser.conftest import Tab
from tests.browser.large import EACH, HOSTS, large

pytestmark = [pytest.mark.browser, pytest.mark.e2e, pytest.mark.timeout(400)]

MEMORY_MOST = 192
"""MiB of the page's process: it has 87 with all of it, and 60 with nothing."""


def test_a_large_kiteway_is_shown_page_by_page(tab: Tab, free_port: Callable[[], int]) -> None:
    """The overview has the numbers, each table its first rows and how many there are, and the process stays small."""
    with large(free_port) as place:
        tab.url = place.url
        tab.show("overview")
        tab.wait_text(f"hosts: {HOSTS:,}")
        for view, number in (("endpoints", HOSTS * EACH), ("hosts", HOSTS)):
            page = tab.show(view)
            tab.wait_text(f"{number:,}")
            assert page.locator("tbody tr").count() == PAGE_ROWS
        assert place.memory("dashboard") < MEMORY_MOST
        # Its stream would end with the instance, which the browser complains of.
        tab.page.goto("about:blank")
