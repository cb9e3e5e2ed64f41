"""A real browser, headless."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tools.browser import chromium, environment

_ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # DNS that an attacker controls.
    "--host-resolver-rules=MAP evil.example 127.0.0.1",
)


@dataclasses.dataclass
class Tab:
    """
    A page of the browser.

    Attributes:
        page: Playwright's page.
        url: the address of the web page.
        complaints: what the browser complained of: errors and warnings on the console, exceptions, answers that are errors.
    """

    page: Any
    url: str = ""
    complaints: list[str] = dataclasses.field(default_factory=list)

    def show(self, view: str) -> Any:
        """Open a view, wait until it is up to date, and return Playwright's page."""
        self.page.goto(f"{self.url}/#/{view}")
        self.page.wait_for_selector(".live.live")
        self.page.wait_for_function("() => !document.querySelector('main .waiting')")
        return self.page

    def text(self) -> str:
        """Return the text of the view."""
        found: str = self.page.inner_text("main")
        return found

    def wait_text(self, *texts: str) -> None:
        """Wait until the view has one of the texts."""
        wanted = "texts => texts.some(text => document.querySelector('main').innerText.includes(text))"
        self.page.wait_for_function(wanted, arg=list(texts), timeout=60_000)


@contextlib.contextmanager
def launched() -> Iterator[Any]:
    """Run a browser."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        running = playwright.chromium.launch(
            executable_path=str(chromium()), args=list(_ARGUMENTS), env={**environment()}, chromium_sandbox=False
        )
        yield running
        running.close()


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Return a browser; skip without one."""
    if chromium() is None:
        pytest.skip("there is no Chromium; make test-dashboard gets one where there is apt")
    pytest.importorskip("playwright.sync_api", reason="make test-dashboard installs Playwright")
    with launched() as running:
        yield running


@pytest.fixture
def tab(browser: Any, tmp_path: Path) -> Iterator[Tab]:
    """Return a page of a browser without a past; the test fails if the browser complained of anything."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, locale="en-US")
    found = Tab(context.new_page())
    listen(found)
    yield found
    found.page.screenshot(path=str(tmp_path / "end.png"))
    context.close()
    assert found.complaints == []


def listen(tab: Tab) -> None:
    """Note what the browser complains of."""

    def on_console(message: Any) -> None:
        if message.type in {"error", "warning"}:
            tab.complaints.append(f"{message.type}: {message.text}")

    def on_response(response: Any) -> None:
        if response.status >= 400:
            tab.complaints.append(f"{response.status}: {response.url}")

    tab.page.on("console", on_console)
    tab.page.on("response", on_response)
    tab.page.on("pageerror", lambda error: tab.complaints.append(f"exception: {error}"))
