"""The status of MilvusPolicies in a cluster."""

from __future__ import annotations

import datetime as dt
from typing import Any

from kiteway.diagnostics import ObjectRef
from kiteway.model import PolicyReason
from kiteway.sources.kubernetes.store import ControllerState
from kiteway.status.writeback.policies import MOST_ANCESTORS, controller_name, policy_statuses
from kiteway.status.writeback.writer import is_written
from kiteway.translate.policy.attachment import Attachment

NOW = dt.datetime(2026, 11, 29, 10, tzinfo=dt.UTC)
LATER = NOW + dt.timedelta(hours=1)
POLICY = ObjectRef("MilvusPolicy", "default", "policy")
SERVICE = ObjectRef("Service", "default", "milvus")
OURS = controller_name("kiteway")
FOREIGN = {"ancestorRef": {"kind": "Service", "name": "milvus"}, "controllerName": "other.io/x", "conditions": []}


def attachment(reason: PolicyReason, generation: int = 1, target: ObjectRef = SERVICE) -> Attachment:
    """Return what became of a target."""
    return Attachment(POLICY, 0, target, reason, f"{reason}.", generation)


def ancestors(status: dict[str, Any], *found: Attachment, now: dt.datetime = NOW) -> list[dict[str, Any]] | None:
    """Return the entries that a status gets, which is ``status`` now; None where nothing is written."""
    live = ControllerState("u", status, {}, ours=True)
    wanted = policy_statuses(found, [POLICY], lambda _: live, OURS, now)
    return list(wanted[POLICY].status["ancestors"]) if POLICY in wanted else None


def test_each_target_has_a_condition() -> None:
    """The entry is that of Gateway API's PolicyStatus."""
    assert ancestors({}, attachment(PolicyReason.TARGET_NOT_FOUND, 3)) == [
        {
            "ancestorRef": {"group": "", "kind": "Service", "namespace": "default", "name": "milvus"},
            "controllerName": "kiteway.io/kiteway",
            "conditions": [
                {
                    "type": "Accepted",
                    "status": "False",
                    "observedGeneration": 3,
                    "lastTransitionTime": "2026-11-29T10:00:00Z",
                    "reason": "TargetNotFound",
                    "message": "TargetNotFound.",
                }
            ],
        }
    ]


def test_the_time_of_a_condition_is_that_of_its_change() -> None:
    """Written again, it says the same, so that nothing is written twice; with another status it says when."""
    before = {"ancestors": ancestors({}, attachment(PolicyReason.CONFLICTED))}
    same = ancestors(before, attachment(PolicyReason.CONFLICTED), now=LATER)
    other = ancestors(before, attachment(PolicyReason.ACCEPTED), now=LATER)

    assert same == before["ancestors"]
    assert other is not None
    assert other[0]["conditions"][0]["lastTransitionTime"] == "2026-11-29T11:00:00Z"


def test_entries_of_other_controllers_stay() -> None:
    """Ours are beside them, and are removed when the policy is about nothing of ours any more."""
    with_ours = ancestors({"ancestors": [FOREIGN]}, attachment(PolicyReason.ACCEPTED))
    assert with_ours is not None
    assert with_ours[0] == FOREIGN
    assert len(with_ours) == 2
    assert ancestors({"ancestors": with_ours}) == [FOREIGN]


def test_two_controllers_do_not_undo_each_others_order() -> None:
    """Each writes its own entries where they are, so that the second write of both changes nothing."""
    other = controller_name("other")
    second = attachment(PolicyReason.ACCEPTED, target=ObjectRef("Service", "default", "second"))
    found = [attachment(PolicyReason.ACCEPTED), second]
    status: dict[str, Any] = {}
    writes = 0
    for controller in (OURS, other) * 3:
        live = ControllerState("u", status, {}, ours=True)
        wanted = policy_statuses(found, [POLICY], {POLICY: live}.get, controller, NOW)[POLICY]
        if not is_written(live, wanted):
            status, writes = dict(wanted.status), writes + 1

    assert writes == 2
    assert [entry["controllerName"] for entry in status["ancestors"]] == [OURS, OURS, other, other]


def test_an_entry_keeps_its_place() -> None:
    """A target that is gone leaves the list, a new one is last, and the others stay where they are."""
    first, second, third = (
        attachment(PolicyReason.ACCEPTED, target=ObjectRef("Service", "default", name)) for name in ("a", "b", "c")
    )
    before = ancestors({}, first, second)
    assert before is not None
    found = ancestors({"ancestors": [before[0], FOREIGN, before[1]]}, third, second)
    assert found is not None
    assert [entry["ancestorRef"]["name"] for entry in found] == ["milvus", "b", "c"]


def test_nothing_is_written_where_there_is_nothing_to_say() -> None:
    """Neither a status without entries, nor one that has none of ours."""
    assert ancestors({}) is None
    assert ancestors({"ancestors": [FOREIGN]}) is None


def test_a_written_status_is_not_written_again() -> None:
    """What the watch shows is what is wanted."""
    wanted = policy_statuses([attachment(PolicyReason.ACCEPTED)], [POLICY], lambda _: None, OURS, NOW)[POLICY]
    assert is_written(ControllerState("u", dict(wanted.status), {}, ours=True), wanted)


def test_the_list_has_no_more_entries_than_the_schema_allows() -> None:
    """With the entries of others there could be more than sixteen, and the API server would take none."""
    many = [attachment(PolicyReason.ACCEPTED, target=ObjectRef("Service", "default", f"s{n}")) for n in range(16)]
    found = ancestors({"ancestors": [FOREIGN]}, *many)
    assert found is not None
    assert len(found) == MOST_ANCESTORS
