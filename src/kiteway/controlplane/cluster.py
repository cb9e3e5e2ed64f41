"""A Kubernetes cluster as the source of the control plane, and the status that is written back to it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from kiteway.acme.challenge_server import ChallengeServer, LocalPresenter
from kiteway.acme.context import Presenter
from kiteway.acme.replicated.secrets import Secrets
from kiteway.acme.replicated.shared import Shared, member
from kiteway.acme.storage import FileStorage, Storage
from kiteway.controlplane.config import Config
from kiteway.controlplane.source import Reports, TakeSlices, Translate
from kiteway.envoy.admin import AdminClient
from kiteway.instance import Instance
from kiteway.kubernetes.api import Api, read_kubeconfig
from kiteway.kubernetes.config import KubernetesConfig
from kiteway.kubernetes.lease import Lease
from kiteway.pipeline.pipeline import Outcome
from kiteway.sources.files import SourceContent
from kiteway.sources.kubernetes.source import KubernetesSource
from kiteway.status.writeback.writer import Writer

_LAST_GOOD = "kubernetes.json"
_STORED = "acme.json"
_LEASE = "kiteway"


def lease_name(ingress_class: str) -> str:
    """Return the name of the Lease of the replica that writes: each IngressClass has one."""
    return _LEASE if ingress_class == _LEASE else f"{_LEASE}-{ingress_class}"


async def store(kubernetes: KubernetesConfig, ingress_class: str, key: str, value: bytes) -> None:
    """
    Set a value in the storage of a cluster; for processes beside the control plane.

    Raises:
        NoClusterError, ApiError, ApiUnavailableError: it was not set.
    """
    async with Api(read_kubeconfig(kubernetes.kubeconfig)) as api:
        await Secrets(api, kubernetes.lease_namespace, lease_name(ingress_class)).put(key, value)


class Cluster:
    """
    One cluster: the connection, the source, the write-back, and what the replicas share.

    Attributes:
        storage: where ACME keeps its state: Secrets, or files when no certificate may be requested from a CA.
    """

    def __init__(self, kubernetes: KubernetesConfig, config: Config, admin: AdminClient, managed: Reports) -> None:
        """Raise `kiteway.kubernetes.api.NoClusterError` when no cluster is configured."""
        own = lease_name(config.ingress_class)
        # Each class has its own field manager, so that Kiteways of two classes do not undo each other's writes. A field
        # manager's name has at most 128 characters, a class's name 253.
        api = self._api = Api(read_kubeconfig(kubernetes.kubeconfig), own[:128])
        state_dir = Instance(Path(config.data_dir)).state_dir
        self._lease = Lease(api, kubernetes.lease_namespace, own, kubernetes.identity)
        self._shared = None
        self.storage: Storage = FileStorage(state_dir)
        if config.acme.blocked is None:
            self._shared = Shared(api, kubernetes, own, self._lease, state_dir / _STORED)
            self.storage = self._shared.storage
        self._replicas = 1
        if self._shared is not None:
            self._membership, followed = self._shared.membership, self._shared.reflectors
        else:
            self._membership = member(api, kubernetes, own, self._lease, self._look_again)
            followed = (self._membership.reflector,)
        self._source = KubernetesSource(api, kubernetes, state_dir / _LAST_GOOD, followed)
        self._writer = Writer(
            api,
            self._source,
            self._lease,
            admin=admin,
            ingress_class=config.ingress_class,
            identity=kubernetes.identity,
            managed=managed,
        )

    def presenter(self, server: ChallengeServer, stored: Callable[[str], None]) -> Presenter:
        """Return a presenter that waits until the other replicas have the challenge too."""
        if self._shared is None:
            return LocalPresenter(server)
        return self._shared.present_on(server, stored)

    def addresses(self) -> tuple[str, ...]:
        """Return the addresses that Ingresses get."""
        return tuple(text for address in self._source.addresses or () for text in address.values())

    def replicas(self) -> int:
        """Return how many replicas are live; while the API server is silent or has no annotation, as many as before."""
        self._replicas = self._membership.members.living or self._replicas
        return self._replicas

    def on_gke(self) -> bool:
        """Return whether Google's controllers are at work in the cluster."""
        return self._source.on_gke

    def why_incomplete(self) -> str:
        """Return what the API server has not listed yet."""
        if not self._source.complete:
            return self._source.why_incomplete()
        if self._shared is not None and not self._shared.storage.complete:
            return "Waiting for the API server to list the Secrets that hold certificates"
        return ""

    async def read(self) -> SourceContent:
        """Return all resources."""
        return self._source.read()

    def translated(self, outcome: Outcome) -> None:
        """Store the last good objects, and write the status of the new outcome."""
        self._source.translated(outcome.retained)
        self._writer.take(outcome)

    def judged(self, outcome: Outcome) -> None:
        """Write the status of the new outcome."""
        self._writer.take(outcome)

    async def follow(self, translate: Translate, take_slices: TakeSlices) -> None:
        """Follow the cluster until cancelled."""
        async with self._api, asyncio.TaskGroup() as tasks:
            for work in self._source.work():
                tasks.create_task(work)
            tasks.create_task(self._follow_objects(translate))
            tasks.create_task(self._follow_slices(take_slices))
            tasks.create_task(self._lease.run())
            tasks.create_task(self._writer.run())
            if self._shared is not None:
                tasks.create_task(self._shared.run(self._source.look_again))
            else:
                tasks.create_task(self._be_member())

    async def _be_member(self) -> None:
        await self._membership.join()
        await self._membership.run()

    def _look_again(self) -> None:
        self._source.look_again()

    async def _follow_objects(self, translate: Translate) -> None:
        async for _ in self._source.changes():
            if not self.why_incomplete():
                await translate()

    async def _follow_slices(self, take_slices: TakeSlices) -> None:
        async for changes in self._source.slice_changes():
            await take_slices(changes.removed, changes.updated)
