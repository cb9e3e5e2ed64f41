"""Assembles what a replica shares with the others: storage, membership and challenges."""

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


def member(api: Api, config: KubernetesConfig, owner: str, leader: Leader, notify: Callable[[], None]) -> Membership:
    """Return this replica's membership; ``owner`` is the name of the Lease of the replica that writes."""
    name = f"{owner}-replicas"
    return Membership(api, config.lease_namespace, name, identity=config.identity, leader=leader, notify=notify)


class Shared:
    """
    The storage, the other replicas, and the challenges that all of them show.

    Attributes:
        storage: in the Secrets of Kiteway's own namespace.
        membership: this replica among the others.
    """

    def __init__(self, api: Api, config: KubernetesConfig, owner: str, leader: Leader, file: Path) -> None:
        """
        Prepare.

        Args:
            api: the connection.
            config: Kiteway's own namespace, and this replica's identity.
            owner: the owner of the storage: the name of the Lease.
            leader: may write to the storage.
            file: see `SecretStorage`.
        """
        namespace = config.lease_namespace
        self._changed: Callable[[], None] | None = None
        self.storage = SecretStorage(api, namespace, owner, leader, file=file, notify=self._notify)
        self.membership = member(api, config, owner, leader, self._notify)
        self._presenter: Together | None = None

    @property
    def reflectors(self) -> tuple[Reflector, ...]:
        """The reflectors of this part."""
        return self.storage.reflector, self.membership.reflector

    def present_on(self, server: ChallengeServer, stored: Callable[[str], None]) -> Together:
        """Return the presenter; ``server`` shows challenges on this machine, ``stored`` is called with what others write."""
        self.storage.listeners.append(stored)
        self._presenter = Together(self.storage, self.membership, server)
        return self._presenter

    async def run(self, changed: Callable[[], None]) -> None:
        """Watch, and show the stored challenges, until cancelled; ``changed`` is called when a collection was read."""
        self._changed = changed
        async with asyncio.TaskGroup() as tasks:
            # In this order: a leader that writes a challenge after this replica's first read finds it among the replicas.
            await self.membership.join()
            tasks.create_task(self.membership.run())
            tasks.create_task(self.storage.run())
            if self._presenter is not None:
                tasks.create_task(self._presenter.run())

    def _notify(self) -> None:
        if self._changed is not None:
            self._changed()
