"""Every view of the web page in a real browser, before a real Milvus with three proxies and real clients."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import pytest

from kiteway.filter import filter_path, missing_reason
from tests.browser.conftest import Tab
from tests.browser.site import BROKEN, COLLECTIONS, DAYS, READER, ROOT, Site, site
from tests.support.kiteway import wait_until

pytestmark = [
    pytest.mark.browser,
    pytest.mark.e2e,
    pytest.mark.milvus,
    pytest.mark.timeout(300),
    pytest.mark.skipif(filter_path() is None, reason=missing_reason()),
]

VIEWS = ("overview", "endpoints", "collections", "users", "queues", "hosts", "certificates", "problems", "events")


@pytest.fixture(scope="module")
def place(free_port: Callable[[], int]) -> Iterator[Site]:
    """Milvus, Kiteway and clients, once the page has figures of all of them."""
    with site(free_port) as found:

        def counted() -> bool:
            rows = api(found, "collections")["rows"]
            return {row["collection"] for row in rows if row["calls"]["rate"] > 0} >= set(COLLECTIONS) and any(
                row["saved"] for row in rows
            )

        wait_until(counted, "the page has the calls of the clients")
        yield found


@pytest.fixture
def here(tab: Tab, place: Site) -> Tab:
    """Return a page of the browser that knows the address."""
    tab.url = place.url
    return tab


def api(place: Site, path: str) -> Any:
    """Return an answer of the page's API."""
    return httpx2.get(f"{place.url}/api/{path}", timeout=10, trust_env=False).json()


def test_the_overview_has_what_a_person_looks_for(here: Tab) -> None:
    """The state, the traffic, the plots, the certificate that ends, the processes."""
    page = here.show("overview")
    assert page.title().startswith("Overview · ")
    here.wait_text("3\nhealthy", "3 healthy")
    here.wait_text("ending within 21 days: 1")
    assert page.locator(".plot path.line").count() == 4
    text = here.text()
    assert re.search(r"Calls a second\s+[1-9]", text)
    assert re.search(r"Answered by the cache\s+\d+%", text)
    for process in ("dashboard", "controlplane", "envoy"):
        assert process in text
    # It follows: the figures of the next interval come without a reload.
    before = page.inner_text(".live")
    page.wait_for_function("before => document.querySelector('.live').innerText !== before", arg=before)


def test_every_endpoint_has_its_share_of_the_calls(here: Tab, place: Site) -> None:
    """Health, share, time; a link leads to the plots of one."""
    page = here.show("endpoints")
    rows = page.locator("tbody tr")
    assert rows.count() == 3
    assert sorted(page.locator("tbody a").all_inner_texts()) == sorted(place.addresses)
    shares = [int(text.rstrip("%")) for text in page.locator("tbody td:nth-child(4)").all_inner_texts()]
    assert 99 <= sum(shares) <= 101
    assert min(shares) > 10
    page.locator("tbody a").first.click()
    page.wait_for_selector("h1:has-text('Endpoint 127.0.0.1')")
    page.wait_for_selector(".plot path.line")
    assert page.evaluate("document.activeElement.tagName") == "H1"


def test_collections_and_users_are_named(here: Tab) -> None:
    """With the share of the cache; the page of one has its rpcs and plots."""
    page = here.show("collections")
    for collection in COLLECTIONS:
        assert page.locator(f"tbody a:text-is('{collection}')").count() == 1
    page.locator("tbody a:text-is('books')").click()
    page.wait_for_selector("h1:has-text('books')")
    here.wait_text("Search")
    page.wait_for_selector("figcaption:has-text('Share answered by the cache')")
    here.show("users")
    assert all(user[0] in here.text() for user in (ROOT, READER))
    assert READER[1] not in page.content()


def test_a_table_is_filtered_and_sorted_by_keyboard(here: Tab) -> None:
    """The address keeps what was chosen, so that a reload shows the same."""
    page = here.show("collections")
    page.get_by_label("Filter").fill("bird")
    page.wait_for_function("() => document.querySelectorAll('tbody tr').length === 1")
    page.get_by_role("button", name="Calls/s").focus()
    page.keyboard.press("Enter")
    page.wait_for_selector("th[aria-sort=descending]")
    assert "q=bird" in page.url
    assert "sort=rate" in page.url
    page.reload()
    page.wait_for_selector("th[aria-sort=descending]")
    assert page.locator("tbody tr").count() == 1


def test_a_filter_keeps_what_is_typed_while_the_page_changes(here: Tab) -> None:
    """Figures come while a viewer types; and a filter that is not asked for yet does not follow into another view."""
    page = here.show("collections")
    typed = """async () => {
        const field = document.querySelector("input[type=search]");
        field.value = "bir";
        field.dispatchEvent(new Event("input", { bubbles: true }));
        // It draws the page again, as new figures do.
        document.querySelector("header select").dispatchEvent(new Event("change", { bubbles: true }));
        await new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)));
        return field.value;
    }"""
    assert page.evaluate(typed) == "bir"
    page.wait_for_function("() => location.hash.includes('q=bir')")
    page.evaluate("""() => {
        const field = document.querySelector("input[type=search]");
        field.value = "birds";
        field.dispatchEvent(new Event("input", { bubbles: true }));
        location.hash = "#/users";
    }""")
    page.wait_for_selector("h1:has-text('Users')")
    page.wait_for_selector("tbody tr")
    # Longer than the page waits for the next letter.
    page.evaluate("() => new Promise((waited) => setTimeout(waited, 400))")
    assert page.url.endswith("#/users")
    # A link to the same view brings its own filter.
    page.evaluate("() => { location.hash = '#/users?q=root'; }")
    page.wait_for_function("() => document.querySelector('input[type=search]').value === 'root'")


def test_the_admission_and_the_certificate(here: Tab) -> None:
    """The limits of the policy, and how long the certificate lives."""
    here.show("queues")
    assert "default/policy" in here.text()
    assert "64" in here.text()
    page = here.show("certificates")
    assert f"{DAYS} days" in here.text() or f"{DAYS + 1} days" in here.text()
    assert page.locator(".badge.warning").count() >= 1


def test_a_mistake_appears_with_its_line_and_its_fix(here: Tab, place: Site) -> None:
    """And disappears when it is corrected; both are events."""
    page = here.show("problems")
    file = place.manifests / "broken.yaml"
    file.write_text(BROKEN)
    here.wait_text("ServiceNotFound")
    row = page.locator("tbody tr:has-text('ServiceNotFound')")
    assert f"{file}:7:" in row.inner_text()
    assert "Create it in the namespace default, or correct the name." in row.inner_text()
    here.show("overview")
    here.wait_text("Ingress default/broken is rejected")
    file.unlink()
    here.show("events")
    here.wait_text("ServiceNotFound is solved")


def test_every_view_is_accessible(browser: Any, place: Site) -> None:
    """Axe finds no violation: light, dark, Chinese, on a telephone."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    details = [f"endpoint?pool=default/my-release-milvus/19530&address={place.addresses[0]}"]
    details.append("collection?pool=default/my-release-milvus/19530&database=default&collection=books")
    found = {}
    for scheme, locale, width in (("light", "en-US", 1280), ("dark", "zh-CN", 1280), ("light", "en-US", 400)):
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, locale=locale, reduced_motion="reduce"
        )
        tab = Tab(context.new_page(), place.url)
        for view in (*VIEWS, *details):
            page = tab.show(view)
            for each in axe.run(page).response["violations"]:
                found[scheme, width, view, each["id"]] = [node["html"] for node in each["nodes"]][:3]
            overflow = page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")
            assert not overflow, (view, width)
        context.close()
    assert found == {}


def test_the_page_speaks_chinese(browser: Any, place: Site) -> None:
    """By the browser's language, and by choice."""
    context = browser.new_context(locale="zh-CN")
    tab = Tab(context.new_page(), place.url)
    page = tab.show("endpoints")
    page.wait_for_selector("h1:text-is('端点')")
    assert page.get_attribute("html", "lang") == "zh-CN"
    page.get_by_label("语言").select_option("en")
    page.wait_for_selector("h1:text-is('Endpoints')")
    page.reload()
    page.wait_for_selector("h1:text-is('Endpoints')")
    context.close()


def test_the_page_needs_no_storage(browser: Any, place: Site) -> None:
    """A browser that forbids storage shows the page, and remembers a choice until the page is closed."""
    context = browser.new_context(locale="en-US")
    forbid = "Object.defineProperty(window, NAME, { get() { throw new DOMException('forbidden', 'SecurityError'); } });"
    for name in ("localStorage", "sessionStorage"):
        context.add_init_script(forbid.replace("NAME", repr(name)))
    tab = Tab(context.new_page(), place.url)
    tab.show("overview")
    tab.page.select_option("header select >> nth=0", "dark")
    assert tab.page.evaluate("document.documentElement.dataset.theme") == "dark"
    assert tab.page.input_value("header select >> nth=0") == "dark"
    context.close()


def test_a_killed_endpoint_is_seen(here: Tab, place: Site, record_property: Callable[[str, object], None]) -> None:
    """Without a reload, with the reason, on the overview and as an event; and it comes back."""
    page = here.show("endpoints")
    killed = time.monotonic()
    place.portal.call(place.cluster.kill, 2)
    row = page.wait_for_selector(f"tbody tr:has-text('{place.addresses[2]}'):has(.badge.bad)", timeout=60_000)
    record_property("seconds", round(time.monotonic() - killed, 2))
    assert "ejected" in row.inner_text() or "fails its check" in row.inner_text()
    here.show("overview")
    here.wait_text(place.addresses[2])
    assert page.locator("nav.views .badge.bad").count() >= 1
    here.show("events")
    here.wait_text(f"{place.addresses[2]} of default/my-release-milvus/19530")
    place.portal.call(place.cluster.restart, 2)
    here.show("endpoints")
    page.wait_for_function("() => document.querySelectorAll('tbody .badge.good').length === 3", timeout=90_000)
