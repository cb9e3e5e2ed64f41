"""The history of the endpoints' health, and why a check fails."""

from __future__ import annotations

import asyncio
import datetime as dt
import http.server
import threading
from collections.abc import Callable

import pytest

from kiteway.cli.status_show import health_words
from kiteway.envoy.admin import AdminClient
from kiteway.envoy.clusters import ClusterStatus, EndpointStatus
from kiteway.envoy.settings import EnvoySettings
from kiteway.envoy.xds.common import grpc_cluster_name
from kiteway.model import HealthCheckType, PoolKey
from kiteway.pipeline.pipeline import Outcome, Pipeline
from kiteway.report.pools import CheckedEndpoint, EndpointFailure, EndpointHealth, EndpointReport
from kiteway.resources import load_object
from kiteway.sources.files import SourceContent
from kiteway.status.health import EndpointCheck
from kiteway.status.health_watch import HealthWatch, probe_check
from kiteway.translate import Options
from tests.support.manifests import endpoint_slice, ingress, path, rule, service

NOW = dt.datetime(2026, 11, 29, 12, tzinfo=dt.UTC)
CLUSTER = grpc_cluster_name(PoolKey("default", "a", 19530))
ADDRESS, OTHER = "10.0.0.1:19530", "10.0.0.2:19530"
MANIFESTS = (
    ingress(rule("a.example.com", path("/", "a")), name="a"),
    service("a"),
    endpoint_slice(["10.0.0.1", "10.0.0.2"], 19530, "a"),
)


def outcome() -> Outcome:
    """Return what two endpoints with the default check come to."""
    objects = [object_ for manifest in MANIFESTS for object_ in load_object(dict(manifest)).objects]
    return Pipeline(EnvoySettings()).run(SourceContent(tuple(objects), (), ()), {}, NOW, Options())


def clusters(*failures: EndpointFailure) -> dict[str, ClusterStatus]:
    """Return Envoy's clusters: the first endpoint with ``failures``, the second healthy."""
    endpoints = [EndpointStatus(a, frozenset(f), 1) for a, f in ((ADDRESS, failures), (OTHER, ()))]
    return {CLUSTER: ClusterStatus(CLUSTER, tuple(endpoints))}


class Probes:
    """Answers probes, and counts them."""

    def __init__(self) -> None:
        self.asked: list[EndpointCheck] = []

    async def __call__(self, check: EndpointCheck) -> str:
        """Refuse."""
        self.asked.append(check)
        return f"{check.port} refused the connection"


def seconds(number: float) -> dt.datetime:
    """Return a time after the first look."""
    return NOW + dt.timedelta(seconds=number)


def test_since_is_when_the_health_changed() -> None:
    """It stays while the health stays, changes with it, and is unknown for what was so before the first look."""
    probes, found = Probes(), outcome()

    async def act() -> list[dt.datetime | None]:
        watch = HealthWatch(_no_admin(), lambda: found, probes)
        since = []
        for at, failures in enumerate([(), (EndpointFailure.ACTIVE_CHECK,), (EndpointFailure.ACTIVE_CHECK,), ()]):
            await watch.take(clusters(*failures), seconds(5 * at))
            since.append(watch.since(CLUSTER, ADDRESS))
        assert watch.since(CLUSTER, OTHER) is None
        return since

    assert asyncio.run(act()) == [None, seconds(5), seconds(5), seconds(15)]


@pytest.mark.parametrize(("uptime", "since"), [(3, NOW), (3600, None), (None, None)])
def test_the_first_look_at_a_new_envoy_is_the_beginning(uptime: int | None, since: dt.datetime | None) -> None:
    """An endpoint that is away from the start has an age; behind an Envoy that ran before, it is not known."""
    probes, found = Probes(), outcome()

    async def act() -> dt.datetime | None:
        watch = HealthWatch(_no_admin(), lambda: found, probes)
        await watch.take(clusters(EndpointFailure.ACTIVE_CHECK), NOW, uptime=uptime)
        await watch.take(clusters(EndpointFailure.ACTIVE_CHECK), seconds(5), uptime=3600)
        return watch.since(CLUSTER, ADDRESS)

    assert asyncio.run(act()) == since


def test_an_endpoint_that_fails_is_probed() -> None:
    """Only the one that fails, once for each failure, and again when it is repeated."""
    probes, found = Probes(), outcome()
    check = EndpointCheck(HealthCheckType.TCP, "10.0.0.1", 19530, "/")

    async def act() -> None:
        watch = HealthWatch(_no_admin(), lambda: found, probes)
        await watch.take(clusters(EndpointFailure.ACTIVE_CHECK), NOW)
        await watch.take(clusters(EndpointFailure.ACTIVE_CHECK), NOW)
        assert len(probes.asked) == 1
        assert watch.why(probes.asked[0]) == "19530 refused the connection"
        await watch.take(clusters(EndpointFailure.ACTIVE_CHECK), NOW, repeat=True)
        assert len(probes.asked) == 2
        await watch.take(clusters(), NOW)
        assert watch.why(probes.asked[0]) == ""

    asyncio.run(act())
    assert {(asked.type, asked.host, asked.port) for asked in probes.asked} == {(check.type, check.host, check.port)}


def test_each_failing_endpoint_has_its_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """With more failing endpoints than probes in a look, every one is probed after some looks, and its reason stays."""
    monkeypatch.setattr("kiteway.status.health_watch._MOST_PROBED", 1)
    probes, found = Probes(), outcome()
    endpoints = tuple(EndpointStatus(a, frozenset({EndpointFailure.ACTIVE_CHECK}), 1) for a in (ADDRESS, OTHER))

    async def act() -> None:
        watch = HealthWatch(_no_admin(), lambda: found, probes)
        for _ in range(64):
            await watch.take({CLUSTER: ClusterStatus(CLUSTER, endpoints)}, NOW, repeat=True)
        assert len(probes.asked) == 64
        assert all(watch.why(check) for check in probes.asked)

    asyncio.run(act())
    assert len(set(probes.asked)) == 2


def test_a_probe_that_raises_ends_nothing() -> None:
    """Its reason is unknown; those of the other endpoints are as they are."""
    found = outcome()
    endpoints = tuple(EndpointStatus(a, frozenset({EndpointFailure.ACTIVE_CHECK}), 1) for a in (ADDRESS, OTHER))

    async def probe(check: EndpointCheck) -> str:
        if check.host == "10.0.0.1":
            raise OSError(107, "Transport endpoint is not connected")
        return "refused"

    async def act() -> list[str]:
        watch = HealthWatch(_no_admin(), lambda: found, probe)
        await watch.take({CLUSTER: ClusterStatus(CLUSTER, endpoints)}, NOW)
        return [endpoint.why for endpoint in watch.checked()[0]]

    assert asyncio.run(act()) == ["", "refused"]


def test_what_was_seen_last_is_told_without_a_question_to_envoy() -> None:
    """Each pool's endpoints with their check, whether they fail it, and why."""
    probes, found = Probes(), outcome()

    async def act() -> tuple[tuple[CheckedEndpoint, ...], ...]:
        watch = HealthWatch(_no_admin(), lambda: found, probes)
        assert watch.checked() == ((),)
        await watch.take(clusters(EndpointFailure.ACTIVE_CHECK), NOW)
        return watch.checked()

    ((one, other),) = asyncio.run(act())
    assert (one.address, one.check_fails, one.why) == (ADDRESS, True, "19530 refused the connection")
    assert (other.address, other.check_fails, other.why) == (OTHER, False, "")
    assert one.check == other.check == "a connection to port 19530"


def test_an_envoy_in_another_network_is_not_imitated() -> None:
    """What answers here says nothing about what Envoy sees there."""
    found = outcome()

    async def act() -> None:
        watch = HealthWatch(_no_admin(), lambda: found, None)
        await watch.take(clusters(EndpointFailure.ACTIVE_CHECK), NOW)

    asyncio.run(act())


def _no_admin() -> AdminClient:
    return AdminClient.__new__(AdminClient)


@pytest.mark.parametrize(
    ("failures", "health"),
    [
        ((), EndpointHealth.HEALTHY),
        ((EndpointFailure.ACTIVE_CHECK,), EndpointHealth.FAILING),
        ((EndpointFailure.ACTIVE_CHECK, EndpointFailure.CHECK_TIMEOUT), EndpointHealth.FAILING),
        ((EndpointFailure.ACTIVE_CHECK, EndpointFailure.CHECK_PENDING), EndpointHealth.PENDING),
        ((EndpointFailure.ACTIVE_CHECK, EndpointFailure.LEAVING), EndpointHealth.LEAVING),
        ((EndpointFailure.EDS_DRAINING,), EndpointHealth.LEAVING),
        ((EndpointFailure.OUTLIER,), EndpointHealth.EJECTED),
        ((EndpointFailure("some_flag_of_a_newer_envoy"),), EndpointHealth.UNHEALTHY),
    ],
)
def test_flags_come_to_one_health(failures: tuple[EndpointFailure, ...], health: EndpointHealth) -> None:
    """Each combination has one word, a flag that is not known too."""
    assert EndpointHealth.of_failures(failures) is health


@pytest.mark.parametrize(
    ("health", "why", "seconds_ago", "words"),
    [
        (EndpointHealth.FAILING, "9091 refused the connection", 40, "9091 refused the connection, since 40 s (CHECK)"),
        (EndpointHealth.FAILING, "", 200, "fails its check: CHECK, since 3 min"),
        (EndpointHealth.EJECTED, "", 8000, "gets no calls for a while, because calls to it failed, since 2 h"),
        (EndpointHealth.PENDING, "", None, "not checked yet"),
        (EndpointHealth.HEALTHY, "", 200000, "healthy, since 2 d"),
    ],
)
def test_health_in_words(health: EndpointHealth, why: str, seconds_ago: int | None, words: str) -> None:
    """The reason and the duration are said, each when it is known."""
    since = NOW - dt.timedelta(seconds=seconds_ago) if seconds_ago is not None else None
    endpoint = EndpointReport(address=ADDRESS, healthy=False, health=health, check="CHECK", why=why, since=since)
    assert health_words(endpoint, NOW) == words


@pytest.mark.parametrize("health", [EndpointHealth.HEALTHY, EndpointHealth.EJECTED])
def test_an_endpoint_to_which_every_call_fails_is_not_called_healthy(health: EndpointHealth) -> None:
    """The cause takes the place of the word, with its own duration."""
    since = NOW - dt.timedelta(seconds=40)
    endpoint = EndpointReport(
        address=ADDRESS, healthy=True, health=health, since=NOW, calls_fail="it is mute.", calls_fail_since=since
    )
    assert health_words(endpoint, NOW) == "passes its check, but every call to it fails, since 40 s: it is mute."


class _Answers503(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_error(503)

    def log_message(self, *_: object) -> None:
        pass


def test_a_check_is_repeated_on_a_real_socket(free_port: Callable[[], int]) -> None:
    """A port that refuses, one that answers another status, and one that accepts are told apart."""
    refused = free_port()
    with http.server.HTTPServer(("127.0.0.1", 0), _Answers503) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        port = server.server_port
        answers = [
            asyncio.run(probe_check(EndpointCheck(kind, "127.0.0.1", at, "/healthz")))
            for kind, at in ((HealthCheckType.HTTP, refused), (HealthCheckType.HTTP, port), (HealthCheckType.TCP, port))
        ]
        server.shutdown()
    assert answers == [f"{refused} refused the connection", f"{port} answers /healthz with HTTP status 503", ""]
