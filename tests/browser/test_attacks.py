"""What the page of a foreign site gets from the web page, and what a name that is markup does to it."""

from __future__ import annotations

import base64
import contextlib
import http.server
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from pymilvus.grpc_gen import common_pb2, milvus_pb2, schema_pb2

from kiteway.filter import filter_path, missing_reason
from tests.browser.conftest import Tab
from tests.e2e.test_traffic_metrics import MANIFESTS
from tests.e2e.traffic import SEARCH, Backend, call, eventually
from tests.support.kiteway import up

pytestmark = [
    pytest.mark.browser,
    pytest.mark.e2e,
    pytest.mark.skipif(filter_path() is None, reason=missing_reason()),
]

TOKEN = "0123456789abcdef-of-the-page"
MARKUP = "<img src=x onerror=document.title='stolen'>"
FOUND: bytes = milvus_pb2.SearchResults(
    status=common_pb2.Status(), results=schema_pb2.SearchResultData(num_queries=1, top_k=7, topks=[7])
).SerializeToString()


@contextlib.contextmanager
def instance(free_port: Callable[[], int], *options: str) -> Iterator[str]:
    """Run Kiteway with its page before a backend that has a collection and a user whose names are markup."""
    folder = Path(tempfile.mkdtemp(prefix="kw-"))
    (folder / "manifests").mkdir()
    (folder / "manifests" / "all.yaml").write_text(MANIFESTS)
    (folder / "manifests" / f"{MARKUP.replace('/', '')}.yaml").write_text("not: [yaml")
    page, port = free_port(), free_port()
    try:
        with Backend(FOUND) as backend:
            arguments: list[str] = ["-f", str(folder / "manifests"), "--drain", "1"]
            arguments += ["--endpoint", f"my-release-milvus=127.0.0.1:{backend.port},health={backend.health_port}"]
            arguments += ["--http-port", str(port), "--https-port", str(free_port())]
            with up([*arguments, "--dashboard", f"127.0.0.1:{page}", *options], folder / "data") as running:
                running.wait_healthy(1)
                credentials = base64.b64encode(f"{MARKUP}:secret".encode()).decode()
                request = milvus_pb2.SearchRequest(collection_name=MARKUP, db_name=MARKUP, nq=1).SerializeToString()
                with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
                    call(channel, SEARCH, request, metadata=(("authorization", credentials),))
                yield f"http://127.0.0.1:{page}"
    finally:
        shutil.rmtree(folder)


@pytest.fixture(scope="module")
def url(free_port: Callable[[], int]) -> Iterator[str]:
    """Return the address of a page without a token."""
    with instance(free_port) as found:
        yield found


def test_a_name_that_is_markup_is_text(tab: Tab, url: str) -> None:
    """Of a collection, a database, a user, a file; the browser asks for nothing and complains of nothing."""
    tab.url = url
    asked: list[str] = []
    tab.page.on("request", lambda request: asked.append(request.url))
    for view in ("collections", "users", "problems"):
        page = tab.show(view)
        tab.wait_text(MARKUP)
        assert page.locator("main img").count() == 0
        assert "stolen" not in page.title()
    tab.show("constructor")
    assert tab.page.inner_text("h1") == "Overview"
    tab.show("collections")
    tab.page.locator("tbody a").first.click()
    tab.page.wait_for_selector("h1:has-text('Collection')")
    tab.wait_text("Search")
    assert tab.page.locator("main img").count() == 0
    assert [each for each in asked if not each.startswith(f"{url}/")] == []


@pytest.fixture
def foreign(url: str) -> Iterator[str]:
    """Return the address of a site that tries to read the page: by script, image, frame and form."""
    attack = f"""<!doctype html><title>foreign</title><body><script>
      window.got = [];
      const note = (what) => (value) => window.got.push([what, String(value).slice(0, 80)]);
      window.done = Promise.allSettled([
        fetch("{url}/api/overview").then((answer) => answer.text()).then(note("cors")),
        fetch("{url}/api/overview", {{headers: {{authorization: "Bearer x"}}}}).then((a) => a.text()).then(note("preflight")),
        fetch("{url}/api/overview", {{mode: "no-cors"}}).then((answer) => answer.text()).then((text) => text && note("opaque")(text)),
        new Promise((resolve) => {{
          const source = new EventSource("{url}/api/stream");
          source.onmessage = (event) => {{ note("stream")(event.data); resolve(); }};
          source.onerror = resolve;
        }}),
        new Promise((resolve) => {{
          const script = document.createElement("script");
          script.src = "{url}/static/app.js"; script.type = "module";
          script.onload = () => {{ note("script")("loaded"); resolve(); }};
          script.onerror = resolve;
          document.body.append(script);
        }}),
        new Promise((resolve) => {{
          const frame = document.createElement("iframe");
          frame.src = "{url}/"; frame.onload = resolve;
          document.body.append(frame);
        }}),
      ]);
    </script>""".encode()

    class Site(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-type", "text/html")
            self.end_headers()
            self.wfile.write(attack)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Site) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()
        thread.join()


def test_a_foreign_site_reads_nothing(browser: Any, url: str, foreign: str) -> None:
    """No answer, no stream, no script, and no frame to click in."""
    context = browser.new_context()
    page = context.new_page()
    page.goto(foreign)
    page.evaluate("window.done.then(() => null)")
    assert page.evaluate("window.got") == []
    [frame] = [each for each in page.frames if each is not page.main_frame]
    assert frame.locator("#app").count() == 0
    context.close()


def test_a_foreign_name_with_this_address_reads_nothing(browser: Any, url: str) -> None:
    """DNS rebinding: the browser takes it for the origin evil.example, and Kiteway answers nobody of that name."""
    context = browser.new_context()
    page = context.new_page()
    port = url.rpartition(":")[2]
    answer = page.goto(f"http://evil.example:{port}/")
    assert answer.status == 421
    status, text = page.evaluate("fetch('/api/overview').then(async (answer) => [answer.status, await answer.text()])")
    assert status == 421
    assert "release" not in text
    context.close()


def test_the_page_asks_for_its_token(tab: Tab, free_port: Callable[[], int], tmp_path: Path) -> None:
    """A wrong one is refused, the right one opens the page, and it is in no address and no cookie."""
    file = tmp_path / "token"
    file.touch(0o600)
    file.write_text(TOKEN)
    with instance(free_port, "--dashboard-token-file", str(file)) as url:
        page = tab.page
        eventually(lambda: page.goto(url).ok, "the page is there")
        for token in ("wrong", "令牌", TOKEN):  # no header can have the second one
            page.get_by_label("Token").fill(token)
            page.keyboard.press("Enter")
            if token != TOKEN:
                page.wait_for_selector("[role=alert]")
        page.wait_for_selector("h1:text-is('Overview')")
        assert TOKEN not in page.url
        assert page.context.cookies() == []
        page.reload()
        page.wait_for_selector("h1:text-is('Overview')")
        page.goto("about:blank")
    # The browser writes on its console that requests were refused.
    tab.complaints[:] = [each for each in tab.complaints if "401" not in each]
