"""What the source in a cluster says of what it may not see, and of the address that Ingresses wait for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kiteway.diagnostics import Diagnostic
from kiteway.kubernetes.api import ApiError
from kiteway.kubernetes.config import KubernetesConfig
from kiteway.sources.kubernetes.source import KubernetesSource
from tests.support.memory_api import MemoryApi

SERVICE = "/api/v1/namespaces/kiteway/services/kiteway"
WAITING: dict[str, Any] = {"metadata": {"name": "kiteway", "namespace": "kiteway"}, "spec": {"type": "LoadBalancer"}}


class Cluster(MemoryApi):
    """An API server that may refuse a verb."""

    field_manager = "kiteway"

    def __init__(self, refused: str = "", status: int = 403) -> None:
        super().__init__()
        self._refused, self._status = refused, status
        self.objects["/version"] = {"gitVersion": "v1.33.5"}

    def change(self, path: str, body: dict[str, Any]) -> None:
        """Change an object, as another client may."""
        self._put(path, body, "MODIFIED")

    def _ask(self, method: str, path: str) -> None:
        super()._ask(method, path)
        if method == self._refused and path.endswith("/services"):
            said = f'services is forbidden: User "kiteway" cannot {method} resource "services" in API group ""'
            raise ApiError(self._status, "", said if self._status == 403 else "Unauthorized")


def diagnosed(cluster: Cluster, folder: Path, enough: Callable[[list[Diagnostic]], object], **config: Any) -> None:
    """Follow a cluster until its diagnostics are ``enough``."""
    source = KubernetesSource(cluster, KubernetesConfig(**config), folder / "last-good.json")  # type: ignore[arg-type]

    async def act() -> None:
        async with asyncio.timeout(30), asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(work) for work in source.work()]
            while not enough(list(source.read().diagnostics)):  # noqa: ASYNC110 - there is no event for what it says
                await asyncio.sleep(0.02)
            for each in running:
                each.cancel()

    asyncio.run(act())


@pytest.mark.parametrize("verb", ["list", "watch"])
def test_the_missing_verb_is_named(verb: str, tmp_path: Path) -> None:
    """It is the one that the API server refused."""

    def enough(found: list[Diagnostic]) -> bool:
        return any(
            each.reason == "KubernetesForbidden" and each.fix.startswith(f"Give the account the verb {verb} ")
            for each in found
        )

    diagnosed(Cluster(verb), tmp_path, enough)


def test_refused_credentials_are_no_missing_verb(tmp_path: Path) -> None:
    """No right would help a client that the API server does not know."""

    def enough(found: list[Diagnostic]) -> bool:
        return any(each.fix.startswith("Check the credentials") for each in found)

    diagnosed(Cluster("list", 401), tmp_path, enough)


def test_an_address_that_is_not_there_yet_is_said(tmp_path: Path) -> None:
    """Until the load balancer has one, and of a Service that does not exist."""
    cluster = Cluster()
    given: dict[str, Any] = {"publish_service": "kiteway/kiteway"}

    def says(words: str) -> Callable[[list[Diagnostic]], bool]:
        return lambda found: any(each.reason == "NoAddressPublished" and words in each.message for each in found)

    diagnosed(cluster, tmp_path, says("does not exist: their ADDRESS stays empty"), **given)
    cluster.objects[SERVICE] = WAITING
    diagnosed(cluster, tmp_path, says("has no address of a load balancer yet"), **given)

    def ends_with_the_address(found: list[Diagnostic]) -> bool:
        if not says("has no address")(found):
            return "status" in cluster.objects[SERVICE]
        cluster.change(SERVICE, {**WAITING, "status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.7"}]}}})
        return False

    diagnosed(cluster, tmp_path, ends_with_the_address, **given)
