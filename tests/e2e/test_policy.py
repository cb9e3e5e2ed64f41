"""A MilvusPolicy beside the other manifests: what its limits are to the clients of a real Milvus."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from pymilvus import MilvusClient
from pymilvus.grpc_gen import milvus_pb2

from kiteway.filter import filter_path, missing_reason
from tests.e2e.authorized import ROOT, kiteway_before, milvus_with_authorization
from tests.support.kiteway import Running, wait_until
from tests.support.manifests import milvus_policy
from tests.support.reads import channel, service

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.milvus,
    pytest.mark.timeout(300),
    pytest.mark.skipif(filter_path() is None, reason=missing_reason()),
]

PASSWORD = "a-P4ssword"
RATE = 5
RATE_LIMIT = 8
SERVICE = "my-release-milvus"


@dataclass
class Site:
    """Kiteway in front of a Milvus that wants credentials."""

    running: Running
    port: int
    manifests: Path

    def set_limits(self, *limits: dict[str, Any]) -> None:
        """Write a policy with these limits for the Service."""
        policy = milvus_policy(SERVICE, limits=list(limits))
        (self.manifests / "policy.yaml").write_text(yaml.safe_dump(dict(policy)))

    def codes(self, user: str, until: Callable[[list[int]], bool]) -> list[int]:
        """Call as ``user``, without pauses or repetitions, ``until`` it is enough; return Milvus's codes."""
        credentials = base64.b64encode(f"{user}:{PASSWORD}".encode()).decode()
        found: list[int] = []
        with channel(f"127.0.0.1:{self.port}", None, None) as connection:
            stub = service(connection)
            while not until(found):
                answer = stub.ShowCollections(
                    milvus_pb2.ShowCollectionsRequest(), timeout=20, metadata=(("authorization", credentials),)
                )
                found.append(answer.status.code)
        return found

    def rest(self, user: str) -> tuple[int, str, dict[str, Any]]:
        """Call by REST; return the status, ``retry-after`` and the body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        with contextlib.closing(connection):
            headers = {"authorization": f"Bearer {user}:{PASSWORD}"}
            connection.request("GET", "/v1/vector/collections", headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.headers.get("retry-after", ""), json.loads(answer.read())


@pytest.fixture(scope="module")
def site(free_port: Callable[[], int]) -> Iterator[Site]:
    """Start both."""
    with milvus_with_authorization() as milvus, kiteway_before(milvus, free_port) as front:
        root = MilvusClient(uri=front.uri, user=ROOT[0], password=ROOT[1])
        for user in ("alice", "bob"):
            root.create_user(user, PASSWORD)
        root.close()
        yield Site(front.running, front.port, front.manifests)


@pytest.fixture(autouse=True)
def _no_policy_left(site: Site) -> Iterator[None]:
    yield
    (site.manifests / "policy.yaml").unlink(missing_ok=True)
    wait_until(lambda: not site.running.status()["policies"], "the policy is gone")


def test_a_limit_by_user_holds(site: Site) -> None:
    """
    Alice gets the calls of the limit, and code 8 for the others; bob, who has a limit of his own, gets all of his at the
    same time. PyMilvus waits and repeats, so that a program of alice's sees no error. By REST the answer is 429.
    """
    assert set(site.codes("alice", lambda found: len(found) == 5 * RATE)) == {0}, "there is no limit yet"

    site.set_limits({"by": ["user"], "requestsPerSecond": RATE}, {"by": ["user"], "names": ["bob"], "inFlight": 1000})
    wait_until(lambda: RATE_LIMIT in site.codes("alice", lambda found: len(found) == 5 * RATE), "Envoy has the limit")
    [target] = site.running.status()["policies"]
    assert (target["target"], target["reason"]) == (f"Service default/{SERVICE}", "Accepted")

    begin = time.monotonic()
    # Every call is either a token's, or refused: ten seconds of tokens, whatever a call takes.
    codes = site.codes("alice", lambda found: found.count(0) >= 10 * RATE)
    seconds = time.monotonic() - begin
    assert set(codes) == {0, RATE_LIMIT}
    # At the beginning there may be a second's worth of tokens, or none.
    assert 0.9 * RATE * seconds - 1 <= codes.count(0) <= 1.05 * RATE * seconds + RATE
    assert set(site.codes("bob", lambda found: len(found) == 20 * RATE)) == {0}

    status, retry_after, body = site.rest("bob")
    assert (status, body["code"]) == (200, 200)
    wait_until(lambda: site.rest("alice")[0] == 200, "alice has a token again")
    answers = [site.rest("alice") for _ in range(3 * RATE)]
    assert {answer[0] for answer in answers} <= {200, 429}
    status, retry_after, body = next(answer for answer in answers if answer[0] == 429)
    assert int(retry_after) >= 1
    assert body["code"] != 0
    assert "limit" in body["message"]

    patient = MilvusClient(uri=f"http://127.0.0.1:{site.port}", user="alice", password=PASSWORD)
    assert [patient.list_collections() for _ in range(2 * RATE)] == [[]] * (2 * RATE)
    patient.close()


def test_a_mistake_in_the_policy_does_not_lift_the_limit_and_its_removal_does(site: Site) -> None:
    """The limit stays while the file has an error, which `kiteway status` shows; without the file there is none."""
    site.set_limits({"by": ["user"], "requestsPerSecond": RATE})
    many = 5 * RATE
    wait_until(lambda: RATE_LIMIT in site.codes("alice", lambda found: len(found) == many), "Envoy has the limit")

    site.set_limits({"by": ["user"], "requestsPerSecond": 0})
    wait_until(
        lambda: "MilvusPolicy default/policy" in site.running.status()["configuration"]["retained"],
        "the mistake is seen",
    )
    assert RATE_LIMIT in site.codes("alice", lambda found: len(found) == many)

    (site.manifests / "policy.yaml").unlink()
    wait_until(lambda: not site.running.status()["policies"], "the policy is gone")
    wait_until(
        lambda: RATE_LIMIT not in site.codes("alice", lambda found: len(found) == many), "Envoy has no limit any more"
    )
