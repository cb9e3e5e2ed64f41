"""A Kubernetes cluster as the control plane's source, and the status it gets back."""

from __future__ import annotations

import asyncio
from pathlib import Path

from kiteway.controlplane.config import Config
from kiteway.controlplane.pipeline import Outcome
from kiteway.controlplane.source import TakeSlices, Translate
from kiteway.envoy.admin import AdminClient
from kiteway.instance import Instance
from kiteway.sources.files import Resources
from kiteway.sources.kubernetes.api import Api, read_kubeconfig
from kiteway.sources.kubernetes.config import KubernetesConfig
from kiteway.sources.kubernetes.source import KubernetesSource
from kiteway.status.writeback.lease import Lease
from kiteway.status.writeback.writer import Managed, Writer

_LAST_GOOD = "kubernetes.json"
_LEASE = "kiteway"


class Cluster:
    """One cluster: the connection, the source, and what is written."""

    def __init__(self, kubernetes: KubernetesConfig, config: Config, admin: AdminClient, managed: Managed) -> None:
        """Raise `kiteway.sources.kubernetes.api.NoClusterError` when nothing says which cluster."""
        api = self._api = Api(read_kubeconfig(kubernetes.kubeconfig))
        self._source = KubernetesSource(api, kubernetes, Instance(Path(config.data_dir)).state_dir / _LAST_GOOD)
        # Kiteways of two classes write beside each other.
        own = "" if config.ingress_class == _LEASE else f"-{config.ingress_class}"
        self._lease = Lease(api, kubernetes.lease_namespace, _LEASE + own, kubernetes.identity)
        self._writer = Writer(api, self._source, self._lease, admin=admin, config=config, managed=managed)

    def why_incomplete(self) -> str:
        """Return what the API server has not said yet."""
        return "" if self._source.complete else self._source.why_incomplete()

    async def read(self) -> Resources:
        """Return everything there is now."""
        return self._source.read()

    def translated(self, outcome: Outcome) -> None:
        """Keep what is good, and write what it means."""
        self._source.translated(outcome.retained)
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

    async def _follow_objects(self, translate: Translate) -> None:
        async for _ in self._source.changes():
            await translate()

    async def _follow_slices(self, take_slices: TakeSlices) -> None:
        async for changes in self._source.slice_changes():
            await take_slices(changes.removed, changes.updated)
