"""When every call to an endpoint is said to fail, and what a probe of its serving port says."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime as dt
from collections.abc import Sequence
from pathlib import Path

import pytest

from kiteway.envoy.clusters import Attempts, ClusterStatus, EndpointStatus
from kiteway.envoy.xds.common import grpc_cluster_name, rest_cluster_name
from kiteway.model import BackendProtocol, LoadBalancer, UpstreamTLS
from kiteway.model.certificates import Certificate, PrivateKey, TrustBundle
from kiteway.report.pools import EndpointFailure
from kiteway.status.serving import Serving, ServingWatch, Trouble, probe_serving
from tests.e2e.traffic import KEY, pool
from tests.support.echo import Echo
from tests.support.kiteway import tls_files
from tests.unit.probe_servers import Authority, tls_server

NOW = dt.datetime(2026, 11, 29, 12, tzinfo=dt.UTC)
ADDRESS = "10.0.0.1:19530"
MODEL = LoadBalancer(pools=(pool(),))
TROUBLE = Trouble("it is mute")

Counts = tuple[int, int]


def clusters(
    counts: Counts, rest: Counts = (0, 0), failures: Sequence[EndpointFailure] = ()
) -> dict[str, ClusterStatus]:
    """Return Envoy's clusters of the pool with attempts that succeeded and failed."""
    found = {}
    for name, (succeeded, failed) in ((grpc_cluster_name(KEY), counts), (rest_cluster_name(KEY), rest)):
        attempts = Attempts(succeeded + failed, succeeded, failed)
        found[name] = ClusterStatus(name, (EndpointStatus(ADDRESS, frozenset(failures), 1, attempts),))
    return found


async def _broken(_: Serving) -> Trouble | None:
    return TROUBLE


@pytest.mark.parametrize(
    ("looks", "since"),
    [
        ([(0, 0), (0, 0)], None),
        ([(0, 0), (0, 1)], None),
        ([(0, 0), (0, 1), (0, 1), (0, 2)], 1),
        ([(0, 2)], 0),
        ([(5, 2), (5, 3)], None),
        ([(5, 2), (5, 3), (5, 4)], 1),
        ([(5, 2), (5, 4), (6, 5)], None),
        ([(5, 2), (5, 4), (5, 4)], 1),
        ([(5, 9), (5, 12), (0, 1)], None),
        ([(5, 9), (5, 12), (0, 2)], 2),
    ],
    ids=[
        "idle",
        "one-failure",
        "two-failures",
        "from-the-start",
        "one-after-a-success",
        "two-after-a-success",
        "a-success-ends-it",
        "it-stays-without-calls",
        "another-envoy",
        "another-envoy-fails-too",
    ],
)
def test_every_call_fails_when_several_failed_and_none_succeeded_since(looks: list[Counts], since: int | None) -> None:
    """One failure is not enough, and a success ends it; the time is that of the first failure."""

    async def act() -> tuple[Trouble, dt.datetime] | None:
        watch = ServingWatch(_broken)
        for number, counts in enumerate(looks):
            await watch.take(MODEL, clusters(counts), NOW + dt.timedelta(seconds=number))
        return watch.trouble(KEY, ADDRESS)

    assert asyncio.run(act()) == (None if since is None else (TROUBLE, NOW + dt.timedelta(seconds=since)))


def test_rest_counts_too() -> None:
    """REST that succeeds shows that the endpoint serves."""

    async def act(rest: Counts) -> bool:
        watch = ServingWatch(_broken)
        await watch.take(MODEL, clusters((0, 2), rest), NOW)
        return watch.trouble(KEY, ADDRESS) is not None

    assert asyncio.run(act((0, 0)))
    assert not asyncio.run(act((1, 0)))


def test_the_check_that_fails_says_enough() -> None:
    """An endpoint that fails its check gets no calls, so nothing is said of them."""

    async def act() -> object:
        watch = ServingWatch(_broken)
        await watch.take(MODEL, clusters((0, 9), failures=[EndpointFailure.ACTIVE_CHECK]), NOW)
        return watch.trouble(KEY, ADDRESS)

    assert asyncio.run(act()) is None


def test_an_endpoint_that_serves_as_it_should_is_forgiven() -> None:
    """What failed was of the calls themselves: the next probe is after two more failures."""
    asked: list[Serving] = []

    async def whole(serving: Serving) -> None:
        asked.append(serving)

    async def act() -> None:
        watch = ServingWatch(whole)
        for counts, probes in (((0, 2), 1), ((0, 2), 1), ((0, 3), 1), ((0, 4), 2)):
            await watch.take(MODEL, clusters(counts), NOW)
            assert (len(asked), watch.trouble(KEY, ADDRESS)) == (probes, None)

    asyncio.run(act())
    assert (asked[0].host, asked[0].port) == ("10.0.0.1", 19530)


def test_looks_at_the_same_time_probe_an_endpoint_once() -> None:
    """Whoever reads the status causes no probe of an endpoint that is being probed, or of which it is known what is wrong."""

    async def act() -> list[int]:
        begun, end = asyncio.Event(), asyncio.Event()
        probes: list[Serving] = []

        async def slow(serving: Serving) -> Trouble:
            probes.append(serving)
            begun.set()
            await end.wait()
            return TROUBLE

        watch, counts = ServingWatch(slow), []
        first = asyncio.create_task(watch.take(MODEL, clusters((0, 2)), NOW, repeat=True))
        await begun.wait()
        second = asyncio.create_task(watch.take(MODEL, clusters((0, 2)), NOW))
        await asyncio.sleep(0)
        end.set()
        await asyncio.gather(first, second)
        counts.append(len(probes))
        for repeat in (False, True):
            await watch.take(MODEL, clusters((0, 3)), NOW, repeat=repeat)
            assert watch.trouble(KEY, ADDRESS) == (TROUBLE, NOW)
            counts.append(len(probes))
        return counts

    assert asyncio.run(act()) == [1, 1, 2]


def test_an_endpoint_may_go_while_it_is_probed() -> None:
    """Another look, with a model without it, runs during the probe."""

    async def act() -> object:
        begun, end = asyncio.Event(), asyncio.Event()

        async def slow(_: Serving) -> None:
            begun.set()
            await end.wait()

        watch = ServingWatch(slow)
        first = asyncio.create_task(watch.take(MODEL, clusters((0, 2)), NOW))
        await begun.wait()
        await watch.take(LoadBalancer(), {}, NOW)
        end.set()
        await first
        return watch.trouble(KEY, ADDRESS)

    assert asyncio.run(act()) is None


def test_without_a_probe_nothing_is_said() -> None:
    """Envoy in another network sees other servers, and the counts alone are no proof."""

    async def act() -> object:
        watch = ServingWatch(None)
        await watch.take(MODEL, clusters((0, 2)), NOW)
        return watch.trouble(KEY, ADDRESS)

    assert asyncio.run(act()) is None


def test_a_probe_names_the_protocol_and_the_certificate(tmp_path: Path) -> None:
    """It speaks as the pool does; what serves the pool is not blamed."""
    certificate, other = (tls_files(tmp_path, name, "milvus.internal") for name in ("milvus", "other"))

    def said(port: int, protocol: BackendProtocol, tls: UpstreamTLS | None = None) -> str:
        serving = Serving.of(pool(protocol=protocol, tls=tls or UpstreamTLS()), f"127.0.0.1:{port}")
        return getattr(asyncio.run(probe_serving(serving)), "why", "")

    def verified(files: Path, name: str | None) -> UpstreamTLS:
        return UpstreamTLS(server_name=name, ca=TrustBundle(files.read_text(), pool().source))

    with Echo((certificate.cert, certificate.key)) as secure, Echo(None) as plain:
        assert said(plain.port, BackendProtocol.HTTP) == ""
        assert said(plain.port, BackendProtocol.HTTP2) == "it speaks plaintext, and the Service says TLS"
        assert said(secure.port, BackendProtocol.HTTP) == "it speaks TLS, and the Service says plaintext"
        assert said(secure.port, BackendProtocol.HTTPS) == said(secure.port, BackendProtocol.HTTP2) == ""
        assert said(secure.port, BackendProtocol.HTTP2, verified(certificate.cert, "milvus.internal")) == ""
        assert said(secure.port, BackendProtocol.HTTP2, verified(certificate.cert, None)) == ""
        assert "milvus.example" in said(
            secure.port, BackendProtocol.HTTP2, verified(certificate.cert, "milvus.example")
        )
        assert said(secure.port, BackendProtocol.HTTP2, verified(other.cert, "milvus.internal")) != ""
    assert "refused" in said(plain.port, BackendProtocol.HTTP)


def test_a_probe_shows_the_client_certificate_of_the_pool(tmp_path: Path) -> None:
    """A server that demands one and refuses that of the pool is named; one that takes it is not."""
    authority, strangers = Authority(tmp_path), Authority(tmp_path)

    def said(shown: Certificate | None) -> str:
        tls = UpstreamTLS(client_certificate=shown)
        with tls_server(authority.mutual()) as port:
            serving = Serving.of(pool(protocol=BackendProtocol.HTTP2, tls=tls), f"127.0.0.1:{port}")
            assert "PRIVATE KEY" not in repr(serving)
            return str(asyncio.run(probe_serving(serving)) or "")

    assert said(None).startswith(
        "it demands a client certificate. Name a Secret with one in kiteway.io/backend-client-"
    )
    assert said(_client(authority)) == ""
    refused = said(_client(strangers))
    assert refused.startswith(
        "it refuses the client certificate default/client. In the Secret that kiteway.io/backend-client-"
    )


def test_a_probe_with_a_client_certificate_that_cannot_be_used(tmp_path: Path) -> None:
    """What OpenSSL refuses is what is said, and nothing of the key."""
    broken = dataclasses.replace(_client(Authority(tmp_path)), key=PrivateKey(b"secret"))
    tls = UpstreamTLS(client_certificate=broken)
    serving = Serving.of(pool(protocol=BackendProtocol.HTTP2, tls=tls), "127.0.0.1:1")
    found = asyncio.run(probe_serving(serving))
    assert found is not None
    assert found.why.startswith("the client certificate cannot be used: ")
    assert "secret" not in found.why


def _client(authority: Authority) -> Certificate:
    chain, key = (file.read_bytes() for file in authority.client_files())
    return Certificate(
        name="default/client",
        chain=chain.rstrip(),
        key=PrivateKey(key),
        names=(),
        not_before=NOW,
        not_after=NOW,
        key_type="ECDSA",
        fingerprint="",
        temporary=False,
        source=None,
    )
