"""Every live replica shows a challenge before the CA is asked to validate it."""

from __future__ import annotations

import asyncio
import datetime as dt
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import pytest

from kiteway.acme.challenge_server import ChallengeServer
from kiteway.acme.challenges import HTTP_01, TLS_ALPN_01, to_show
from kiteway.acme.client import new_key
from kiteway.acme.config import AcmeConfig
from kiteway.acme.context import IssuanceContext, StoppedError
from kiteway.acme.problems import AcmeError, Kind
from kiteway.acme.records import Challenges, challenges_of, read, write
from kiteway.acme.replicated.shared import Shared
from kiteway.acme.storage import FileStorage
from kiteway.envoy.settings import EnvoySettings
from kiteway.kubernetes.api import Api
from kiteway.kubernetes.config import KubernetesConfig
from kiteway.model import Challenge, HTTPChallenge
from tests.support.kiteway import wait_until
from tests.support.memory_api import MemoryApi, running_loop

FOLDER = "acme/ca/certificates/default/milvus"
HOST = "my-release.milvus.io"
CHALLENGE = HTTPChallenge(HOST, "token", "token.thumbprint")


class Leader:
    """Leads, or not."""

    term = 1

    def __init__(self, *, held: bool) -> None:
        self.held = held


class FakeChallengeServer(ChallengeServer):
    """A stage whose listener answers when the test says so."""

    def __init__(self) -> None:
        self.published = 0
        self.open = True
        super().__init__(EnvoySettings(), self._count, self._nothing)

    def is_live(self, challenge: Challenge) -> bool:
        """Return whether it answers."""
        return self.open and challenge in self.challenges

    async def _count(self) -> None:
        self.published += 1

    async def _nothing(self) -> None:
        pass


class Replica:
    """One replica."""

    def __init__(self, api: MemoryApi, name: str, folder: Path, *, leads: bool) -> None:
        self.stage = FakeChallengeServer()
        config = KubernetesConfig(lease_namespace="kiteway-system", identity=name)
        self.shared = Shared(cast("Api", api), config, "kiteway", Leader(held=leads), folder / name)
        self.presenter = self.shared.present_on(self.stage, lambda _: None)
        self.task = asyncio.ensure_future(self.shared.run(lambda: None))


class World:
    """Some replicas, of which the first leads."""

    def __init__(self, loop: asyncio.AbstractEventLoop, folder: Path, *names: str) -> None:
        self.api = MemoryApi()
        self.waited: list[str] = []
        self.now = dt.datetime.now(dt.UTC)
        self._loop, self._folder = loop, folder
        self.replicas = [self.start(name, leads=name == names[0]) for name in names]
        self.leader = self.replicas[0]
        self.context = IssuanceContext(
            config=AcmeConfig(),
            storage=self.leader.shared.storage,
            presenter=self.leader.presenter,
            bind="127.0.0.1",
            stop=threading.Event(),
            now=lambda: self.now,
            waiting=lambda _, text: self.waited.append(text),
        )

    def start(self, name: str, *, leads: bool = False) -> Replica:
        """Start a replica; wait until it has joined."""

        async def made() -> Replica:
            return Replica(self.api, name, self._folder, leads=leads)

        replica = asyncio.run_coroutine_threadsafe(made(), self._loop).result(10)
        wait_until(lambda: replica.shared.storage.complete, "it has joined")
        return replica

    @contextmanager
    def presenting(self, challenge: Challenge = CHALLENGE) -> Iterator[Future[None]]:
        """Present in a thread, under the lock."""
        done: Future[None] = Future()

        def work() -> None:
            try:
                with self.context.storage.lock(FOLDER):
                    self.leader.presenter.present(self.context, FOLDER, [challenge])
                    done.set_result(None)
            except BaseException as error:  # noqa: BLE001 - handed to the test
                done.set_exception(error)

        thread = threading.Thread(target=work)
        thread.start()
        try:
            yield done
        finally:
            self.context.stop.set()
            thread.join(30)


@pytest.fixture(autouse=True)
def _no_second_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is missed is missed for good, not until a timer makes up for it."""
    monkeypatch.setattr("kiteway.acme.replicated.presenter._LOOK_SECONDS", 3600.0)
    monkeypatch.setattr("kiteway.acme.replicated.membership._BEAT_SECONDS", 3600.0)


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """Return a loop that runs."""
    with running_loop() as started:
        yield started


def test_every_replica_shows_it(loop: asyncio.AbstractEventLoop, tmp_path: Path) -> None:
    """The challenge counts as shown when all replicas answer it, not before, and the missing ones are named."""
    world = World(loop, tmp_path, "one", "two", "three")
    world.replicas[2].stage.open = False
    with world.presenting() as done:
        wait_until(lambda: any("three" in text for text in world.waited), "the third is waited for")
        wait_until(lambda: world.waited[-1].startswith("1 of 3 replicas"), "by then only the third is")
        assert not done.done()
        world.replicas[2].stage.open = True
        done.result(30)
    assert world.waited[-1] == "the CA; the challenge is shown by all 3 replicas"
    assert [each.stage.challenges for each in world.replicas] == [(CHALLENGE,)] * 3

    world.leader.presenter.clean_up(world.context, FOLDER)

    wait_until(lambda: not any(each.stage.challenges for each in world.replicas), "nobody shows it any more")


def test_a_replica_that_cannot_show_it(loop: asyncio.AbstractEventLoop, tmp_path: Path) -> None:
    """The wait ends, the CA is not asked, and the message names the replicas that do not show it."""
    world = World(loop, tmp_path, "one", "broken")
    world.replicas[1].stage.open = False
    with world.presenting() as done:
        wait_until(lambda: world.waited[-1:] and "1 of 2" in world.waited[-1], "only the broken one is waited for")
        world.now += dt.timedelta(minutes=2)
        error = done.exception(30)

    assert isinstance(error, AcmeError)
    assert error.kind is Kind.UNAVAILABLE
    assert not error.asked
    assert "These replicas do not show it: broken." in error.message


def test_the_end_of_the_process_is_not_waited_out(loop: asyncio.AbstractEventLoop, tmp_path: Path) -> None:
    """The wait ends at once when the process ends, and the challenge is left for the next leader."""
    world = World(loop, tmp_path, "one", "two")
    world.replicas[1].stage.open = False
    with world.presenting() as done:
        wait_until(lambda: world.waited, "it waits")
        world.context.stop.set()
        assert isinstance(done.exception(30), StoppedError)

    assert world.context.storage.exists(f"{FOLDER}/challenges")


def test_a_new_replica_shows_existing_challenges(loop: asyncio.AbstractEventLoop, tmp_path: Path) -> None:
    """A replica that starts during the validation shows the challenge, too."""
    world = World(loop, tmp_path, "one")
    with world.presenting() as done:
        done.result(30)
        late = world.start("late")

        wait_until(lambda: late.stage.challenges == (CHALLENGE,), "the late one shows it")


def test_abandoned_challenges_expire(loop: asyncio.AbstractEventLoop, tmp_path: Path) -> None:
    """A leader may be killed and the ManagedCertificate deleted: its challenge expires."""
    world = World(loop, tmp_path, "one")
    old = challenges_of([CHALLENGE], dt.datetime.now(dt.UTC) - dt.timedelta(seconds=1))
    deleted = "acme/ca/certificates/default/deleted"
    with world.context.storage.lock(deleted):
        write(world.context.storage, f"{deleted}/challenges", old)
    with world.presenting(HTTPChallenge("other.milvus.io", "token", "token.thumbprint")) as done:
        done.result(30)

    assert [c.domain for c in world.leader.stage.challenges] == ["other.milvus.io"]


def test_challenges_of_both_kinds_are_stored_whole(tmp_path: Path) -> None:
    """Another replica reads the same challenges, with the certificate and key of TLS-ALPN-01."""
    from cryptography.hazmat.primitives import serialization
    from josepy.jwk import JWKEC

    key = JWKEC(key=serialization.load_pem_private_key(new_key().reveal(), None))
    now = dt.datetime.now(dt.UTC)
    shown = [to_show(kind, HOST, "token", key, now) for kind in (HTTP_01, TLS_ALPN_01)]
    record, storage = challenges_of(shown, now), FileStorage(tmp_path)
    write(storage, "a/challenges", record)

    found = read(storage, "a/challenges", Challenges)

    assert found == record
    assert found.all == tuple(shown)
    assert found.digest == record.digest != challenges_of(shown[:1], now).digest
