"""The rights and the writes of ``kiteway gke``, by the API server's own audit log."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from kiteway.gke.options import DataPlane, GkeOptions
from kiteway.gke.rights import permissions
from tests.gke.people import NAMESPACE, acting, person
from tests.gke.site import HOST, RELEASE, SERVICE, Site
from tests.kubernetes.neg import NEG_CRD

pytestmark = [pytest.mark.kubernetes, pytest.mark.milvus, pytest.mark.timeout(600)]

_READS = {"get", "list", "watch"}
Write = tuple[str, str]
"""A resource and a name."""


class Audit:
    """What was written by a user since this was made."""

    def __init__(self, site: Site, name: str) -> None:
        self._site = site
        self._user = f"system:serviceaccount:{NAMESPACE}:{name}"
        self._before = len(site.cluster.requests())

    def writes(self) -> set[Write]:
        """Return what was written; asking what one may do is a create, too, but of nothing."""
        found = set()
        for event in self._site.cluster.requests()[self._before :]:
            about, code = event.get("objectRef", {}), event["responseStatus"]["code"]
            mine = event["user"]["username"] == self._user and event["verb"] not in _READS and code < 300
            if mine and about.get("apiGroup") != "authorization.k8s.io":
                # A create has its name in the answer only; Helm's are its revisions.
                found.add((about["resource"], about.get("name", "")))
        return found

    def reads(self) -> int:
        """Count what was read."""
        events = self._site.cluster.requests()[self._before :]
        return sum(event["verb"] in _READS and event["user"]["username"] == self._user for event in events)


def _planned(site: Site, plan: dict[str, Any]) -> set[Write]:
    """Return what the commands of a plan may write, by what they say themselves."""
    found: set[Write] = set()
    for command in (c for step in plan["steps"] for c in step["commands"]):
        argv: list[str] = command["argv"]
        match argv[:2]:
            case ["kubectl", "apply"]:
                for part in command["stdin"].removesuffix(", made now").split(", "):
                    kind, _, name = part.partition(" ")
                    found.add((_resource(kind), name))
            case ["kubectl", "patch"]:
                found.add((_resource(argv[2]), argv[3]))
            case ["helm", "upgrade"]:
                found.add(("secrets", ""))
                for item in yaml.safe_load_all(site.helm("get", "manifest", argv[2], "-n", "default")):
                    found.add((_resource(item["kind"]), item["metadata"]["name"]))
                for revision in range(10):
                    found.add(("secrets", f"sh.helm.release.v1.{argv[2]}.v{revision}"))
            case ["gcloud", "compute"]:
                continue
            case _:
                raise AssertionError(argv)
    return found


def _resource(kind: str) -> str:
    plural = {"ingress": "ingresses"}
    return plural.get(kind.lower(), f"{kind.lower()}s")


def test_the_rights_are_enough_with_kiteway_behind_google(start: Site) -> None:
    """Kiteway's own release, too, is installed and removed with exactly the documented rights."""
    start.cluster.apply(NEG_CRD)
    needed = permissions(GkeOptions(host=HOST, data_plane=DataPlane.GOOGLE_KITEWAY))
    before = start.state()
    with acting(start, person(start, "neighbour", needed)):
        start.apply("--data-plane", "google+kiteway", "--draining-timeout-sec", "5")
        start.kiteway("rollback")
    assert start.state() == before


def test_the_documented_rights_are_enough(start: Site) -> None:
    """
    Both apply and rollback succeed with exactly these rights; with one less, the plan names it and writes
    nothing.
    """
    needed = permissions(GkeOptions(host=HOST))
    before = start.state()
    few = person(start, "trainee", (n for n in needed if n != ("patch", "services")))
    with acting(start, few):
        audit = Audit(start, "trainee")
        found = json.loads(start.kiteway("plan", *start.options("-o", "json"), code=1))
        assert [(p["reason"], p["message"]) for p in found["problems"]] == [
            ("PermissionDenied", "you lack permissions in namespace default: patch services.")
        ]
        start.kiteway("apply", *start.options(), code=1)
    assert audit.reads()
    assert audit.writes() == set()
    with acting(start, person(start, "operator", needed)):
        start.apply()
        start.kiteway("rollback")
    assert start.state() == before


def test_only_apply_writes_and_only_what_the_plan_names(start: Site) -> None:
    """
    By the API server's audit log ``plan``, ``--emit``, ``status``, ``verify`` and ``rollback --plan`` write
    nothing; ``apply`` writes every object that the plan's commands name, and no other.
    """
    folder: Path = start.folder / "emitted"
    with acting(start, person(start, "auditor", permissions(GkeOptions(host=HOST)))):
        silent = Audit(start, "auditor")
        plan = json.loads(start.kiteway("plan", *start.options("--output", "json")))
        start.apply("--emit", str(folder))
        assert silent.reads()
        assert silent.writes() == set()
        planned = _planned(start, plan)

        loud = Audit(start, "auditor")
        start.apply()
        written = loud.writes()

        silent = Audit(start, "auditor")
        start.kiteway("status")
        start.kiteway("verify")
        start.kiteway("rollback", "--plan")
        start.apply()
        assert silent.reads()
        assert silent.writes() == set()
    assert written <= planned, "nothing is written that the plan does not name"
    assert {w for w in planned if not w[1].startswith("sh.helm.release")} - {("secrets", "")} <= written
    assert ("ingresses", SERVICE) in written
    assert any(name.startswith(f"sh.helm.release.v1.{RELEASE}.") for _, name in written)
