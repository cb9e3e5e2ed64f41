"""Who may read the web page: Host, Origin and token of a request."""

from __future__ import annotations

from pathlib import Path

import pytest
from starlette.datastructures import Headers

from kiteway.dashboard.access import Access
from kiteway.dashboard.config import DashboardConfig

TOKEN = "0123456789abcdef-token"
OPEN = Access(hosts=("Kiteway.example.com",))


def status(access: Access, path: str = "/api/overview", **headers: str) -> int:
    """Return the HTTP status of the refusal; 200 without one."""
    given = {"host": "127.0.0.1:9090"} | {name.replace("_", "-"): value for name, value in headers.items()}
    refusal = access.refuse(path, Headers(given))
    return refusal.status if refusal else 200


@pytest.mark.parametrize(
    "host", ["127.0.0.1:9090", "127.0.0.1", "[::1]:9090", "LOCALHOST:1", "10.0.0.7:80", "kiteway.example.com:9090"]
)
def test_own_names_and_addresses_are_known(host: str) -> None:
    """An IP address needs no DNS, so it is no means of rebinding; names are those that the user gave."""
    assert status(OPEN, host=host) == 200


@pytest.mark.parametrize(
    "host",
    ["", "evil.example:9090", "localhost.evil.example", "127.0.0.1.evil.example", "kiteway.example.com.", "[x]:1"],
)
def test_a_foreign_name_is_refused_on_every_path(host: str) -> None:
    """DNS rebinding: the page of a foreign site whose name has this machine's address."""
    assert status(OPEN, host=host) == 421
    assert status(OPEN, "/", host=host) == 421


def test_two_host_headers_are_refused() -> None:
    """Which of them a proxy looked at is not known."""
    headers = Headers(raw=[(b"host", b"127.0.0.1"), (b"host", b"evil.example")])
    refusal = OPEN.refuse("/api/overview", headers)
    assert refusal is not None
    assert refusal.status == 421


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:9091", "http://127.0.0.1:9090.x"])
def test_a_foreign_origin_is_refused(origin: str) -> None:
    """Also another port of this machine, which may be another user's."""
    assert status(OPEN, origin=origin) == 403


def test_the_own_origin_is_no_matter() -> None:
    """Behind a proxy that ends TLS it is https."""
    assert status(OPEN, origin="http://127.0.0.1:9090") == 200
    assert status(OPEN, origin="https://127.0.0.1:9090") == 200


@pytest.mark.parametrize(
    ("site", "expected"), [("cross-site", 403), ("same-site", 403), ("same-origin", 200), ("none", 200)]
)
def test_a_browser_says_whose_request_it_is(site: str, expected: int) -> None:
    """The API answers the page and the address bar; a link of another site may open the page itself."""
    assert status(OPEN, sec_fetch_site=site) == expected
    assert status(OPEN, "/", sec_fetch_site=site) == 200


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    """Return a file with a token."""
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    file.chmod(0o600)
    return file


def test_the_token_opens_the_api(token_file: Path) -> None:
    """The page's own files need none: they have to ask for it."""
    access = Access(token_file)
    assert status(access, authorization=f"Bearer {TOKEN}") == 200
    assert status(access, authorization=f"bearer {TOKEN}") == 200
    assert status(access, "/static/app.js") == 200


@pytest.mark.parametrize(
    "given", ["", "Bearer", "Bearer ", f"Basic {TOKEN}", TOKEN, f"Bearer {TOKEN}x", "Bearer \u00e9"]
)
def test_nothing_else_does(token_file: Path, given: str) -> None:
    """Another scheme, a longer one, a text that is not ASCII."""
    assert status(Access(token_file), authorization=given) == 401
    assert status(Access(token_file)) == 401


def test_a_refusal_says_how_to_send_the_token(token_file: Path) -> None:
    """And that the file can be the reason."""
    refusal = Access(token_file).refuse("/api/overview", Headers({"host": "localhost"}))
    assert refusal is not None
    assert "authorization: Bearer TOKEN" in refusal.message
    assert "open to every user" in refusal.message
    assert TOKEN not in refusal.message


def test_a_changed_token_is_in_force_at_once_and_without_its_file_nobody_is_let_in(token_file: Path) -> None:
    """Rotation needs no restart."""
    access = Access(token_file)
    token_file.write_text("another-token-0123456789")
    assert status(access, authorization=f"Bearer {TOKEN}") == 401
    assert status(access, authorization="Bearer another-token-0123456789") == 200
    token_file.unlink()
    assert status(access, authorization="Bearer ") == 401


@pytest.mark.parametrize("bind", ["0.0.0.0:9090", "[::]:9090", "192.0.2.1:9090"])
def test_a_page_that_others_can_reach_needs_a_token(bind: str, token_file: Path) -> None:
    """The error says how to make one."""
    with pytest.raises(ValueError, match=r"needs a token. Write one .*openssl rand"):
        DashboardConfig(bind=bind, behind_tls=True).check()
    DashboardConfig(bind=bind, token_file=str(token_file), behind_tls=True).check()


def test_a_token_does_not_cross_the_network_in_plaintext(token_file: Path) -> None:
    """Unless the user says that something in front of the page ends TLS."""
    with pytest.raises(ValueError, match=r"in plaintext: add --dashboard-certificate FILE .* --dashboard-behind-tls"):
        DashboardConfig(bind="0.0.0.0:9090", token_file=str(token_file)).check()


@pytest.mark.parametrize("bind", ["127.0.0.1:9090", "127.1.2.3:9090", "[::1]:9090"])
def test_loopback_needs_none(bind: str) -> None:
    """Only this machine reaches it."""
    DashboardConfig(bind=bind).check()


def test_a_token_that_does_not_protect_is_refused(token_file: Path, tmp_path: Path) -> None:
    """One that every user of the machine can read, a short one, none at all."""
    token_file.chmod(0o604)
    with pytest.raises(ValueError, match="every user of this machine can use the token"):
        DashboardConfig(bind="127.0.0.1:1", token_file=str(token_file)).check()
    token_file.chmod(0o600)
    token_file.write_text("short")
    with pytest.raises(ValueError, match="has 5 bytes"):
        DashboardConfig(bind="127.0.0.1:1", token_file=str(token_file)).check()
    with pytest.raises(ValueError, match="cannot be read"):
        DashboardConfig(bind="127.0.0.1:1", token_file=str(tmp_path / "absent")).check()
