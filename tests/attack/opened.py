"""Requests of clients that try to get around a rule."""

from __future__ import annotations

import contextlib
import http.client
import ssl
from collections.abc import Mapping

from tests.attack.attack import Attack, Seen, judge, measure_calls, measure_live
from tests.attack.tenant import SERVICE, ingress, secret, tenant
from tests.attack.world import World, world
from tests.e2e.traffic import SEARCH, Backend
from tests.support.certificates import authority
from tests.support.kiteway import wait_listening
from tests.support.manifests import Manifest, endpoint_slice, frontend_config, path, service

_GUARDED = "guarded"
_DOMAIN = "guarded.example"
_NONE: Mapping[str, str] = {}
_MESSAGE = b"\0\0\0\0\0"
"""A gRPC message without content."""


def _post(port: int, host: str, what: str = SEARCH, *, tls: bool = False, headers: Mapping[str, str] = _NONE) -> int:
    """
    Send a gRPC call over HTTP/1.1, where every header can be what an attacker wants; return the HTTP status.

    0 is a connection without an answer.
    """
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=5, context=context)
    with contextlib.closing(connection):
        try:
            connection.putrequest("POST", what, skip_host=True)
            for key, value in {
                "Host": host,
                "Content-Type": "application/grpc",
                "TE": "trailers",
                **headers,
            }.items():
                connection.putheader(key, value.encode())
            connection.putheader("Content-Length", str(len(_MESSAGE)))
            connection.endheaders(_MESSAGE)
            return connection.getresponse().status
        except (OSError, http.client.HTTPException):
            return 0


def guarded(found: World, *objects: Manifest, in_plaintext: bool = False) -> Seen:
    """
    Apply the guarded tenant's objects; return what was seen of the victim beside it.

    With ``in_plaintext`` the port for plaintext HTTP is open at the return. The victim does not use it, so its change may be in
    effect earlier.
    """
    found.write(_GUARDED, objects)
    seen = Seen(change=found.change())
    if in_plaintext:
        wait_listening(found.ports.http)
    return seen


def finish(seen: Seen, found: World, said: str) -> Seen:
    """Note what was answered, ``said``, and what the victim met meanwhile."""
    seen.refused = said
    measure_live(seen, found)
    measure_calls(seen, found)
    judge(seen)
    return seen


def _without_certificate() -> Seen:
    """Require certificates of clients beside a redirect that has nowhere to go: port 80 must not serve then."""
    said: Mapping[str, str] = {
        "kiteway.io/client-ca-secret": "clients",
        "networking.gke.io/v1beta1.FrontendConfig": "redirecting",
    }
    with world() as found, Backend() as own:
        seen = guarded(
            found,
            *tenant(_GUARDED, own),
            ingress(_GUARDED, [_DOMAIN], annotations=said),
            frontend_config("redirecting", _GUARDED, redirectToHttps={"enabled": True}),
            secret("clients", _GUARDED, **{"ca.crt": authority("Clients").crt}),
        )
        statuses = [_post(found.ports.http, _DOMAIN), _post(found.ports.https, _DOMAIN, tls=True)]
        seen.check(holds=not own.calls, otherwise="served in plaintext, without a certificate")
        return finish(seen, found, f"{'/'.join(map(str, statuses))} {', '.join(found.refusals(_GUARDED)[:1])}".strip())


def _bad_hosts() -> Seen:
    """Ask for hosts that are none below a wildcard, which stands for one label."""
    asked = [f"a.b.{_DOMAIN}:abc", f"a..{_DOMAIN}", f"a.b.{_DOMAIN}", f"a.b.{_DOMAIN}:80", f".{_DOMAIN}"]
    with world() as found, Backend() as own:
        seen = guarded(found, *tenant(_GUARDED, own), ingress(_GUARDED, [f"*.{_DOMAIN}"]), in_plaintext=True)
        good = _post(found.ports.http, f"a.{_DOMAIN}")
        seen.check(holds=len(own.calls) == 1, otherwise="the wildcard does not serve its own hosts")
        statuses = set()
        for host in asked:
            before = len(own.calls)
            statuses.add(_post(found.ports.http, host))
            seen.check(holds=len(own.calls) == before, otherwise=f"{host} was served")
        return finish(seen, found, f"{good}; {'/'.join(map(str, sorted(statuses)))}")


def _unusual_hosts() -> Seen:
    """Claim addresses and names that are not ASCII, and ask for such hosts; the ASCII form of an IDN is a host as any other."""
    ascii_form = "xn--mnchen-3ya.example"
    asked = [
        "münchen.example",
        "[::1]",
        "[::1]:80",
        "::1",
        "127.0.0.1",
        "[::ffff:127.0.0.1]",
        f"{ascii_form}.",
        "xn--.example",
    ]
    with world() as found, Backend() as own:
        bad = [ingress(_GUARDED, [host], name=f"bad-{number}") for number, host in enumerate(asked)]
        seen = guarded(
            found, *tenant(_GUARDED, own), ingress(_GUARDED, [ascii_form], name="idn"), *bad, in_plaintext=True
        )
        good = _post(found.ports.http, ascii_form.upper())
        seen.check(holds=len(own.calls) == 1, otherwise=f"the ASCII form of an IDN is not served: {good}")
        statuses = set()
        for host in asked:
            before = len(own.calls)
            statuses.add(_post(found.ports.http, host))
            seen.check(holds=len(own.calls) == before, otherwise=f"{host} was served")
        refused = found.refusals(_GUARDED)
        seen.check(holds=bool(refused), otherwise="nothing says what is wrong with the hosts")
        return finish(seen, found, f"{good}; {'/'.join(map(str, sorted(statuses)))} {refused[0] if refused else ''}")


def _escaped_path() -> Seen:
    """Hide an admin's path behind one that is open, where the two lead to different Services."""
    with world() as found, Backend() as own, Backend() as admin:
        paths = [path("/public"), path("/admin", "admin")]
        seen = guarded(
            found,
            *tenant(_GUARDED, own),
            service("admin", _GUARDED, backend_config=SERVICE),
            endpoint_slice(["127.0.0.1"], admin.port, "admin", _GUARDED),
            ingress(_GUARDED, [_DOMAIN], paths=paths),
            in_plaintext=True,
        )
        _post(found.ports.http, _DOMAIN, "/public/x")
        seen.check(holds=len(own.calls) == 1, otherwise="the open path does not serve")
        statuses = [
            _post(found.ports.http, _DOMAIN, f"/public/{up}admin") for up in ("..%2f", "..%2F", "..%5c", "%2e%2e/")
        ]
        passed = [call.method for call in own.calls[1:] if "%" in call.method]
        seen.check(holds=not passed, otherwise=f"passed on as sent: {', '.join(passed)}")
        return finish(seen, found, "/".join(map(str, statuses)))


def _forged_headers() -> Seen:
    """Send headers that only Envoy or a proxy of ours may write."""
    names = ["attempt-count", "peer-metadata", "peer-metadata-id", "original-path", "internal", "decorator-operation"]
    forged = {f"x-envoy-{name}": "forged" for name in names}
    with world() as found, Backend() as own:
        seen = guarded(found, *tenant(_GUARDED, own), ingress(_GUARDED, [_DOMAIN]), in_plaintext=True)
        status = _post(found.ports.http, _DOMAIN, headers=forged)
        seen.check(holds=len(own.calls) == 1, otherwise=f"the call did not arrive: {status}")
        passed = sorted(key for call in own.calls for key, value in call.metadata.items() if value == "forged")
        seen.check(holds=not passed, otherwise=f"passed on: {', '.join(passed)}")
        return finish(seen, found, "left out" if not passed else "")


ATTACKS = (
    Attack("C", "a host that requires certificates, in plaintext", _without_certificate),
    Attack("C", "hosts that are none, below a wildcard", _bad_hosts),
    Attack("C", "addresses and names that are not ASCII as hosts", _unusual_hosts),
    Attack("C", "/public/..%2fadmin", _escaped_path),
    Attack("C", "forged x-envoy headers", _forged_headers),
)
