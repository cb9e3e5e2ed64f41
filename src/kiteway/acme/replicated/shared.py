"""What a replica shares with the others, put together."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from kiteway.acme.challenge_server import ChallengeServer
from kiteway.acme.replicated.membership import Membership
from kiteway.acme.replicated.presenter import Together
from kiteway.acme.replicated.storage import Leader, SecretStorage
from kiteway.kubernetes.api import Api
from kiteway.kubernetes.config import KubernetesConfig
from kiteway.kubernetes.reflector import Reflector


class Shared:
    """
    The storage, the other replicas, and the challenges that all of them show.

    Attributes:
        storage: in the Secrets of Kiteway's own namespace.
    """

    def __init__(self, api: Api, config: KubernetesConfig, owner: str, leader: Leader, file: Path) -> None:
        """
        Prepare.

        Args:
            api: the connection.
            config: which namespace is Kiteway's own, and who this replica is.
            owner: whose storage it is: the name of the Lease.
            leader: who may write to it.
            file: see `SecretStorage`.
        """
        namespace = config.lease_namespace
        self._changed: Callable[[], None] | None = None
        self.storage = SecretStorage(api, namespace, owner, leader, file=file, notify=self._notify)
        self._membership = Membership(
            api, namespace, f"{owner}-replicas", identity=config.identity, leader=leader, notify=self._notify
        )
        self._presenter: Together | None = None

    @property
    def reflectors(self) -> tuple[Reflector, ...]:
        """What is followed."""
        return self.storage.reflector, self._membership.reflector

    def present_on(self, server: ChallengeServer, stored: Callable[[str], None]) -> Together:
        """Return the presenter, whose part on this machine is ``server``; ``stored`` is told what others write."""
        self.storage.listeners.append(stored)
        self._presenter = Together(self.storage, self._membership, server)
        return self._presenter

    async def run(self, changed: Callable[[], None]) -> None:
        """Follow, and show what is to be shown, until cancelled; ``changed`` is told when a collection has come."""
        self._changed = changed
        async with asyncio.TaskGroup() as tasks:
            # In this order: whoever writes a challenge after we have looked finds us among the replicas.
            await self._membership.join()
            tasks.create_task(self._membership.run())
            tasks.create_task(self.storage.run())
            if self._presenter is not None:
                tasks.create_task(self._presenter.run())

    def _notify(self) -> None:
        if self._changed is not None:
            self._changed()
