"""A Kubernetes cluster as the control plane's source."""

from __future__ import annotations

import asyncio

from kiteway.controlplane.pipeline import Outcome
from kiteway.controlplane.source import TakeSlices, Translate
from kiteway.instance import Instance
from kiteway.sources.files import Resources
from kiteway.sources.kubernetes.api import Api, read_kubeconfig
from kiteway.sources.kubernetes.config import KubernetesConfig
from kiteway.sources.kubernetes.source import KubernetesSource

_LAST_GOOD = "kubernetes.json"


class Cluster:
    """One cluster: the connection, the source."""

    def __init__(self, config: KubernetesConfig, instance: Instance) -> None:
        """Raise `kiteway.sources.kubernetes.api.NoClusterError` when nothing says which cluster."""
        self._api = Api(read_kubeconfig(config.kubeconfig))
        self._source = KubernetesSource(self._api, config, instance.state_dir / _LAST_GOOD)

    def why_incomplete(self) -> str:
        """Return what the API server has not said yet."""
        return "" if self._source.complete else self._source.why_incomplete()

    async def read(self) -> Resources:
        """Return everything there is now."""
        return self._source.read()

    def translated(self, outcome: Outcome) -> None:
        """Keep what is good."""
        self._source.translated(outcome.retained)

    async def follow(self, translate: Translate, take_slices: TakeSlices) -> None:
        """Follow the cluster until cancelled."""
        async with self._api, asyncio.TaskGroup() as tasks:
            for work in self._source.work():
                tasks.create_task(work)
            tasks.create_task(self._follow_objects(translate))
            tasks.create_task(self._follow_slices(take_slices))

    async def _follow_objects(self, translate: Translate) -> None:
        async for _ in self._source.changes():
            await translate()

    async def _follow_slices(self, take_slices: TakeSlices) -> None:
        async for changes in self._source.slice_changes():
            await take_slices(changes.removed, changes.updated)
