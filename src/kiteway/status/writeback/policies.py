"""
The status of MilvusPolicies, as Gateway API's PolicyStatus (GEP-713): a condition for each target.

Other controllers may have entries in the same list: theirs stay as they are. The order of the list does not change either:
lists are compared in order, and two controllers with an order each would overwrite one another for ever.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from kiteway.diagnostics import ObjectRef
from kiteway.model import PolicyReason
from kiteway.sources.kubernetes.store import ControllerState
from kiteway.status.writeback.object_status import ObjectStatus
from kiteway.translate.policy.attachment import Attachment

MOST_ANCESTORS: Final = 16
"""Entries of the list, as in Gateway API."""
_ACCEPTED: Final = "Accepted"
_GROUPS: Final = {"Ingress": "networking.k8s.io", "Service": ""}


def controller_name(ingress_class: str) -> str:
    """Return the controller name in the status; it differs by class, so that Kiteways of two classes write separate entries."""
    return f"kiteway.io/{ingress_class}"


def policy_statuses(
    attachments: Iterable[Attachment],
    policies: Iterable[ObjectRef],
    live: Callable[[ObjectRef], ControllerState | None],
    controller: str,
    now: dt.datetime,
) -> dict[ObjectRef, ObjectStatus]:
    """
    Return what the status of each policy shall say.

    Args:
        attachments: what became of each target of each policy.
        policies: all policies that are there.
        live: returns what an object's status says now.
        controller: see `controller_name`.
        now: when a condition changes, if it does.
    """
    ours: dict[ObjectRef, list[Attachment]] = {policy: [] for policy in policies}
    for each in attachments:
        if each.policy in ours:
            ours[each.policy].append(each)
    found = {}
    for policy, targets in ours.items():
        state = live(policy)
        before = _entries(state.status if state is not None else {})
        mine = [entry for entry in before if entry.get("controllerName") == controller]
        if not targets and not mine:
            continue
        entries = [_entry(each, mine, controller, now) for each in targets]
        found[policy] = ObjectStatus({"ancestors": _in_place(before, entries, controller)[:MOST_ANCESTORS]})
    return found


def _in_place(
    before: Iterable[dict[str, Any]], entries: Iterable[dict[str, Any]], controller: str
) -> list[dict[str, Any]]:
    """Return the list in which ``entries`` replace the controller's old entries in place; those for new targets are at the end."""
    new = list(entries)
    found = []
    for entry in before:
        if entry.get("controllerName") != controller:
            found.append(entry)
            continue
        same = next(
            (number for number, each in enumerate(new) if each["ancestorRef"] == entry.get("ancestorRef")), None
        )
        if same is not None:
            found.append(new.pop(same))
    return [*found, *new]


def _entries(status: Mapping[str, Any]) -> list[dict[str, Any]]:
    found = status.get("ancestors")
    return [entry for entry in found if isinstance(entry, dict)] if isinstance(found, list) else []


def _entry(each: Attachment, before: Iterable[Mapping[str, Any]], controller: str, now: dt.datetime) -> dict[str, Any]:
    reference = {
        "group": _GROUPS[each.target.kind],
        "kind": each.target.kind,
        "namespace": each.target.namespace,
        "name": each.target.name,
    }
    status = "True" if each.reason is PolicyReason.ACCEPTED else "False"
    since = next(
        (
            condition["lastTransitionTime"]
            for entry in before
            if entry.get("ancestorRef") == reference
            for condition in entry.get("conditions", ())
            if condition.get("type") == _ACCEPTED and condition.get("status") == status
        ),
        now.strftime("%Y-%m-%dT%H:%M:%SZ"),
    )
    return {
        "ancestorRef": reference,
        "controllerName": controller,
        "conditions": [
            {
                "type": _ACCEPTED,
                "status": status,
                "observedGeneration": each.generation,
                "lastTransitionTime": since,
                "reason": str(each.reason),
                "message": each.message,
            }
        ],
    }
