"""
Make the pictures of the web page in ``docs/images``: a real Milvus with three proxies, one of them killed, and a mistake.

Usage: ``python tools/in_netns.py .venv/bin/python -m tests.browser.screenshots``, after ``make test-dashboard`` has got a
browser. The Chinese one needs a font with Chinese characters.
"""

from __future__ import annotations

import random
import socket
from pathlib import Path
from typing import Any

import httpx2

from kiteway.dashboard.history import STEP_SECONDS
from tests.browser.conftest import Tab, launched
from tests.browser.site import BROKEN, site
from tests.support.kiteway import wait_until

_IMAGES = Path(__file__).parents[2] / "docs" / "images"
_POINTS = 36
"""Points of the history before the pictures: three minutes."""
_POOL = "pool=default/my-release-milvus/19530"
# The view, the language, and whether it is light or dark.
_VIEWS = {
    "dashboard": ("overview", "en-US", "light"),
    "dashboard.zh": ("overview", "zh-CN", "dark"),
    "dashboard-endpoints": ("endpoints", "en-US", "light"),
    "dashboard-problems": ("problems?only=error", "en-US", "light"),
    "dashboard-collection": (f"collection?{_POOL}&database=default&collection=books", "en-US", "light"),
}


def main() -> None:
    """Make them."""
    with site(_free_port) as place, launched() as browser:

        def points() -> int:
            plot = httpx2.get(f"{place.url}/api/history", trust_env=False).json()["plot"]
            return len(plot["at"]) if plot else 0

        wait_until(lambda: points() >= _POINTS, "the history is long enough", 3 * _POINTS * STEP_SECONDS)
        (place.manifests / "broken.yaml").write_text(BROKEN)
        place.portal.call(place.cluster.kill, 2)
        wait_until(lambda: points() >= _POINTS + 4, "the fault is in the plots", 60 * STEP_SECONDS)
        for name, view in _VIEWS.items():
            _shoot(browser, place.url, view, _IMAGES / f"{name}.png")


def _shoot(browser: Any, url: str, wanted: tuple[str, str, str], file: Path) -> None:
    view, locale, scheme = wanted
    context = browser.new_context(
        viewport={"width": 1280, "height": 960 if view == "overview" else 720},
        locale=locale,
        color_scheme=scheme,
        reduced_motion="reduce",
    )
    page = Tab(context.new_page(), url).show(view)
    page.wait_for_selector("tbody tr")
    page.screenshot(path=str(file))
    context.close()


def _free_port() -> int:
    for port in random.sample(range(10000, 12000), 100):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise SystemExit("there is no free port")


if __name__ == "__main__":
    main()
