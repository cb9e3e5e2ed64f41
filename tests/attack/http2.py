"""What a client may try with HTTP/2: another host on a connection made for one, and Envoy's headers in disguise."""

from __future__ import annotations

import grpc

from tests.attack.attack import Attack, Seen
from tests.attack.opened import finish, guarded
from tests.attack.tenant import ingress, secret, tenant, tls_secret
from tests.attack.world import world
from tests.e2e.h2wire import Client, Headers
from tests.e2e.traffic import INSERT, SEARCH, Backend
from tests.support.certificates import authority, issue

_GUARDED = "guarded"
_DOMAIN = "guarded.example"
_OPEN, _CLOSED = f"open.{_DOMAIN}", f"closed.{_DOMAIN}"
_JSON = "application/json"
_REST = "/v2/vectordb/collections/list"
_STEERING = {
    "retry-on": "5xx,gateway-error,reset",
    "retry-grpc-on": "unavailable",
    "max-retries": "5",
    "hedge-on-per-try-timeout": "true",
    "upstream-rq-per-try-timeout-ms": "1",
    "attempt-count": "7",
    "peer-metadata": "forged",
}
_OWN = {"x-envoy-external-address", "x-envoy-expected-rq-timeout-ms"}
"""Headers that Envoy writes itself."""
_MISDIRECTED = "421"
_PERMISSION_DENIED = "7"


def _coalesced() -> Seen:
    """Connect by the name of a host that is open, and ask there for one that requires certificates."""
    with world() as found, Backend() as own:
        seen = guarded(
            found,
            *tenant(_GUARDED, own),
            tls_secret("tls", _GUARDED, issue(f"*.{_DOMAIN}")),
            ingress(_GUARDED, [_OPEN], name="open", tls=["tls"]),
            ingress(
                _GUARDED,
                [_CLOSED],
                name="closed",
                tls=["tls"],
                annotations={"kiteway.io/client-ca-secret": "clients"},
            ),
            secret("clients", _GUARDED, **{"ca.crt": authority("Clients").crt}),
        )
        with Client(found.ports.https, server_name=_OPEN) as client:
            good = client.response(client.request(SEARCH, authority=_OPEN))
            seen.check(holds=good is not None and len(own.calls) == 1, otherwise=f"the open host is not served: {good}")
            rest = client.response(client.request(_REST, authority=_CLOSED, kind=_JSON)) or {}
            call = client.response(client.request(SEARCH, authority=_CLOSED)) or {}
            after = client.response(client.request(SEARCH, authority=_OPEN))
            seen.check(
                holds=after is not None and len(own.calls) == 2, otherwise="the connection is not served on afterwards"
            )
        seen.check(holds=rest.get(":status") == _MISDIRECTED, otherwise=f"REST was answered with {rest.get(':status')}")
        seen.check(
            holds=call.get("grpc-status") == _PERMISSION_DENIED,
            otherwise=f"gRPC was answered with {call.get('grpc-status')}",
        )
        return finish(seen, found, f"{rest.get(':status')}, grpc-status {call.get('grpc-status')}")


def _in_trailers() -> Seen:
    """Send what steers Envoy behind the message."""
    return _disguised(trailers=[(f"x-envoy-{name}", value) for name, value in _STEERING.items()])


def _with_underscores() -> Seen:
    """Write a dash as an underscore, which some servers take for the same."""
    return _disguised([(f"x_envoy_{name.replace('-', '_')}", value) for name, value in _STEERING.items()])


def _disguised(headers: Headers = (), *, trailers: Headers = ()) -> Seen:
    """Send a write that fails, with what would let Envoy send it again if it were headers of Envoy's."""
    with world() as found, Backend(grpc.StatusCode.UNAVAILABLE) as own:
        seen = guarded(found, *tenant(_GUARDED, own), ingress(_GUARDED, [_DOMAIN]))
        with Client(found.ports.http) as client:
            client.response(client.request(INSERT, headers, authority=_DOMAIN, trailers=trailers))
        times = own.count("Insert")
        seen.check(holds=times == 1, otherwise=f"a write was sent {times} times")
        passed = [key for call in own.calls for key in call.metadata if key.startswith("x-envoy-")]
        passed = sorted(set(passed) - _OWN)
        seen.check(holds=not passed, otherwise=f"passed on as headers: {', '.join(passed)}")
        return finish(seen, found, "a write is sent once")


ATTACKS = (
    Attack("C", "another host on a connection, which requires certificates", _coalesced),
    Attack("C", "x-envoy headers in trailers", _in_trailers),
    Attack("C", "x_envoy headers with underscores", _with_underscores),
)
