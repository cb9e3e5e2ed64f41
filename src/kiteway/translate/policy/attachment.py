"""
Which MilvusPolicy each object has.

The words and the rules are those of Gateway API's policy attachment (GEP-713): a policy names its targets; of two
policies with the same target the older one applies; and each target gets a condition in the policy's status.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from kiteway.diagnostics import Diagnostic, ObjectRef, Severity
from kiteway.model import LoadBalancer, Policy, PolicyReason, PoolKey
from kiteway.resources import MilvusPolicy, Object
from kiteway.resources.kinds.milvus_policy import TargetKind
from kiteway.translate.policy.effective import PolicyOf, effective_policy
from kiteway.translate.shared.limits import MOST_POLICIES
from kiteway.translate.shared.unit import Key, age_of

_MOST_OTHERS: Final = 5


@dataclass(frozen=True, slots=True)
class Attachment:
    """
    The result for one target of a policy.

    Attributes:
        policy: the MilvusPolicy.
        index: of the target in its ``targetRefs``.
        target: the Service or Ingress.
        reason: whether the target has the policy, or why not.
        message: the same as a sentence.
        generation: that of the policy.
        others: where the target does not exist, the objects of its kind in the namespace, some of many.
    """

    policy: ObjectRef
    index: int
    target: ObjectRef
    reason: PolicyReason
    message: str
    generation: int = 0
    others: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Attached:
    """
    The policies and their targets.

    Attributes:
        by_target: the policy of each object that has one.
        attachments: every target of every policy, the oldest policy first.
        policies: every policy by its identity.
        beyond: the policies that exceed the limit of their namespace.
    """

    by_target: Mapping[Key, MilvusPolicy]
    attachments: tuple[Attachment, ...]
    policies: Mapping[ObjectRef, MilvusPolicy]
    beyond: tuple[MilvusPolicy, ...] = ()

    def policy_of(self, owner: ObjectRef, service: ObjectRef, pool: PoolKey) -> Policy:
        """Return the policy for the routes of an Ingress to a pool of a Service."""
        return effective_policy(self._of(owner), self._of(service), pool)

    def _of(self, target: ObjectRef) -> PolicyOf | None:
        policy = self.by_target.get(target)
        return PolicyOf(target, policy) if policy is not None else None


def attach(
    policies: Iterable[MilvusPolicy], there: Mapping[Key, Object], failed: frozenset[Key], ours: Collection[ObjectRef]
) -> Attached:
    """
    Return which object has which policy.

    A target that is another controller's Ingress is ignored, without a diagnostic or a status.

    Args:
        policies: in any order; if two of them name the same target, the older one applies.
        there: the objects that can be read.
        failed: those that exist but cannot be read.
        ours: the Ingresses that are Kiteway's.
    """
    by_target: dict[Key, MilvusPolicy] = {}
    found: list[Attachment] = []
    oldest_first = sorted(policies, key=age_of)
    counted: Counter[str] = Counter()
    beyond = []
    for policy in oldest_first:
        counted[policy.ref.namespace] += 1
        if counted[policy.ref.namespace] > MOST_POLICIES:
            beyond.append(policy)
            continue
        for index, named in enumerate(policy.spec.target_refs):
            target = ObjectRef(named.kind.value, policy.ref.namespace, named.name)
            if named.kind is TargetKind.INGRESS and target in there and target not in ours:
                continue
            reason, message = PolicyReason.ACCEPTED, f"{target} has this policy."
            if policy.ref in failed:
                message = f"{target} has the last good form of this policy, which has errors now."
            if target not in there and target not in failed:
                reason, message = PolicyReason.TARGET_NOT_FOUND, f"{target} does not exist."
            elif (older := by_target.get(target)) is not None:
                reason, message = PolicyReason.CONFLICTED, f"{target} has {older.ref} already, which is older."
            else:
                by_target[target] = policy
            others = _others(target, there) if reason is PolicyReason.TARGET_NOT_FOUND else ()
            found.append(Attachment(policy.ref, index, target, reason, message, policy.metadata.generation, others))
    return Attached(by_target, tuple(found), {policy.ref: policy for policy in oldest_first}, tuple(beyond))


def _others(target: ObjectRef, there: Iterable[Key]) -> tuple[str, ...]:
    names = (name for kind, namespace, name in there if (kind, namespace) == (target.kind, target.namespace))
    return tuple(sorted(names)[:_MOST_OTHERS])


def judge_attachments(attached: Attached, model: LoadBalancer, *, with_filter: bool) -> list[Diagnostic]:
    """
    Return what is wrong with policies and their targets.

    Args:
        attached: the policies and their targets.
        model: the load balancer; a policy has no effect if the model does not serve its target.
        with_filter: whether Envoy has Kiteway's filter.
    """
    if not attached.attachments:
        return []
    served = {host.source for host in model.hosts} | {pool.source for pool in model.pools}
    found = [
        diagnostic
        for each in attached.attachments
        if (diagnostic := _judged(attached.policies[each.policy], each, served)) is not None
    ]
    found += [_beyond(policy) for policy in attached.beyond]
    if not with_filter:
        with_effect = dict.fromkeys(each.policy for each in attached.attachments if each.target in served)
        found += [
            _without_filter(attached.policies[ref]) for ref in with_effect if _needs_filter(attached.policies[ref])
        ]
    return found


def _judged(policy: MilvusPolicy, each: Attachment, served: set[ObjectRef]) -> Diagnostic | None:
    path = ("spec", "targetRefs", each.index)
    match each.reason:
        case PolicyReason.TARGET_NOT_FOUND:
            found = policy.diagnostic(
                Severity.ERROR,
                "PolicyTargetNotFound",
                f"the {each.target.kind} {each.target.namespace}/{each.target.name} does not exist.",
                f"Correct the name: there is {' or '.join(each.others)}."
                if each.others
                else f"Create it in the namespace {each.target.namespace}, or correct the name.",
                (*path, "name"),
            )
            return dataclasses.replace(found, missing=each.target)
        case PolicyReason.CONFLICTED:
            return policy.diagnostic(
                Severity.ERROR,
                "PolicyConflicted",
                f"{each.message} This policy has no effect on it.",
                "Put everything into one policy, or remove the target from one of the two.",
                path,
            )
        case PolicyReason.ACCEPTED if each.target not in served:
            return policy.diagnostic(
                Severity.WARNING,
                "PolicyWithoutEffect",
                f"Kiteway sends no calls to {each.target}."
                if each.target.kind == TargetKind.SERVICE
                else f"Kiteway serves no host of {each.target}.",
                "Name a Service that an Ingress of Kiteway leads to, or such an Ingress.",
                path,
            )
        case _:
            return None


def _beyond(policy: MilvusPolicy) -> Diagnostic:
    return policy.diagnostic(
        Severity.ERROR,
        "PoliciesTooMany",
        f"the namespace {policy.ref.namespace} has {MOST_POLICIES} older MilvusPolicies; this one is left out.",
        "Remove those that are not needed.",
        ("spec",),
    )


def _needs_filter(policy: MilvusPolicy) -> bool:
    spec = policy.spec
    return bool(spec.limits) or spec.admission is not None or (spec.cache is not None and spec.cache.enabled)


def _without_filter(policy: MilvusPolicy) -> Diagnostic:
    return policy.diagnostic(
        Severity.WARNING,
        "PolicyWithoutFilter",
        "limits, admission and cache have no effect: Envoy runs without Kiteway's filter, which they need.",
        "Install Kiteway again on Linux with cargo (Rust 1.82+) on PATH.",
        ("spec",),
    )
