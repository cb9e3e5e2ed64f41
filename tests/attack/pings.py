"""Long calls to a server of gRPC's own library, which allows few pings; Kiteway's ADS server is such a server, too."""

from __future__ import annotations

import time
from concurrent import futures

import grpc
import httpx2

from tests.attack.attack import Attack, Seen
from tests.attack.calls import channel
from tests.attack.tenant import ATTACKER, BAIT, ingress, tenant, tls_secret
from tests.attack.world import World, world
from tests.e2e.traffic import INSERT, OK_RESULT, SERVICE, Backend
from tests.support.certificates import authority, issue
from tests.support.kiteway import wait_until

_CALL_SECONDS = 60.0
_ADS_SECONDS = 150.0
"""gRPC core's patience with pings 30 s apart ends after the third or fourth."""
_REST_IDLE_SECONDS = 300
"""Milvus closes idle HTTP connections after this time."""
_QUERY = f"{SERVICE}/Query"


def _slowly(_request: bytes, context: grpc.ServicerContext) -> bytes:
    # The work of a call ends with the call, so that a backend can be stopped.
    end = time.monotonic() + _CALL_SECONDS
    while context.is_active() and time.monotonic() < end:
        time.sleep(0.1)
    return OK_RESULT


def _long_calls() -> Seen:
    """Make a Query and an Insert of a minute each, and look at Envoy's log for pings that our own ADS did not bear."""
    begin = time.monotonic()
    host = f"long.{BAIT}"
    ca = authority()
    with world() as found, Backend(_slowly) as slow:
        found.write(
            ATTACKER,
            [
                *tenant(ATTACKER, slow),
                ingress(ATTACKER, [host], tls=["tls"]),
                tls_secret("tls", ATTACKER, issue(host, issuer=ca)),
            ],
        )
        found.change()
        seen = Seen()
        with channel(found.ports.https, host, ca.crt) as connection, futures.ThreadPoolExecutor(2) as pool:
            for method, outcome in zip(
                (_QUERY, INSERT), pool.map(lambda m: _call(connection, m), (_QUERY, INSERT)), strict=True
            ):
                name = method.rpartition("/")[2]
                seen.check(holds=not outcome, otherwise=f"the {name}: {outcome}")
                times = slow.count(name)
                seen.check(holds=times == 1, otherwise=f"the {name} was sent {times} times")
        seen.refused = "each sent once"
        _check_idle(seen, found)
        wait_until(lambda: time.monotonic() - begin > _ADS_SECONDS, "pings have come", _ADS_SECONDS)
        log = (found.running.instance.log_dir / "envoy.log").read_text().lower()
        complaints = sum(word in line for line in log.splitlines() for word in ("too many pings", "too_many_pings"))
        seen.check(holds=not complaints, otherwise=f"Envoy's log has {complaints} times: too many pings")
        return seen


def _call(connection: grpc.Channel, method: str) -> str:
    """Return what a call failed with; empty if it was answered."""
    stub: grpc.UnaryUnaryMultiCallable[bytes, bytes] = connection.unary_unary(method)
    try:
        stub(b"", timeout=_CALL_SECONDS + 30)
    except grpc.RpcError as error:
        return f"{error.code().name} {error.details()}"
    return ""


def _check_idle(seen: Seen, found: World) -> None:
    """Look in what Envoy runs for REST connections that Milvus would close first."""
    transport = httpx2.HTTPTransport(uds=str(found.running.instance.admin_socket))
    with httpx2.Client(transport=transport, timeout=30) as client:
        dump = client.get("http://envoy/config_dump", params={"resource": "dynamic_active_clusters"}).json()
    for each in dump["configs"]:
        cluster = each["cluster"]
        if cluster["name"].endswith("/rest"):
            options = cluster["typed_extension_protocol_options"][
                "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
            ]
            idle = float(options["common_http_protocol_options"]["idle_timeout"].rstrip("s"))
            seen.check(holds=idle < _REST_IDLE_SECONDS, otherwise=f"REST connections are idle for {idle:g} s")
            return
    seen.broken.append("there is no cluster for REST, so nothing was shown")


ATTACKS = (Attack("G", "calls of 60 s at a server of gRPC core", _long_calls, background=True),)
