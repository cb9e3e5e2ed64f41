"""``kiteway gke`` with the rights that are documented, and no more."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from kiteway.gke.preflight import permissions
from kiteway.gke.wanted import Wanted
from tests.gke.site import HOST, Site

pytestmark = [pytest.mark.kubernetes, pytest.mark.milvus, pytest.mark.timeout(600)]


def _rules(needed: Iterable[tuple[str, str]]) -> list[dict[str, list[str]]]:
    rules = []
    for verb, resource in needed:
        name, _, group = resource.partition(".")
        rules.append({"apiGroups": [group], "resources": [name], "verbs": [verb]})
    return rules


def test_the_documented_rights_are_enough(start: Site) -> None:
    """There and back with exactly those rights; with one less, the plan names it and nothing is written."""
    needed = permissions(Wanted(host=HOST))
    before = start.state()
    few = start.cluster.service_account("people", "trainee", _rules(n for n in needed if n != ("patch", "services")))
    enough = start.cluster.service_account("people", "operator", _rules(needed))
    admin = start.environment["KUBECONFIG"]
    try:
        start.environment["KUBECONFIG"] = str(few)
        start.kiteway("apply", *start.options(), code=1)
        start.environment["KUBECONFIG"] = str(enough)
        start.apply()
        start.kiteway("rollback")
    finally:
        start.environment["KUBECONFIG"] = admin
    assert start.state() == before
