"""MilvusPolicies and their targets."""

from __future__ import annotations

from kiteway.doctor.by_diagnostics import rule_of_reasons
from kiteway.resources import MilvusPolicy

RULE = rule_of_reasons(
    "MILVUS_POLICY",
    title="The effect of a MilvusPolicy",
    why="A limit that is attached to nothing, or to what another policy has already, limits nothing; nor does one without the "
    "filter. A cache that does not fit into its namespace's memory is off, and so is one whose BackendConfig adds a header on which "
    "Milvus's answers depend.",
    reasons=frozenset(
        {
            "PolicyTargetNotFound",
            "PolicyConflicted",
            "PolicyWithoutEffect",
            "PolicyWithoutFilter",
            "CacheHeaderAdded",
            "CacheMemoryTooMuch",
        }
    ),
    kinds=(MilvusPolicy,),
    when_passed="each target exists, is served, and has this policy.",
)
