"""
Finds what is wrong with files, a live address, a live cluster or this machine, and says why and what to do.

A rule is one file below `rules`, in the folder of its scope. The facts are gathered first (`read_manifests`,
`look_at_address`, `cluster.look`, `look_at_machine`); a rule is a pure function of the facts, so no rule raises or waits.
"""

from kiteway.doctor.address import AddressFacts, AddressTarget, look_at_address
from kiteway.doctor.machine import MachineFacts, look_at_machine
from kiteway.doctor.manifests import Manifests, read_manifests
from kiteway.doctor.registry import RULES
from kiteway.doctor.report import Report, examine
from kiteway.doctor.rule import Finding, Result, Rule, Scope

__all__ = [
    "RULES",
    "AddressFacts",
    "AddressTarget",
    "Finding",
    "MachineFacts",
    "Manifests",
    "Report",
    "Result",
    "Rule",
    "Scope",
    "examine",
    "look_at_address",
    "look_at_machine",
    "read_manifests",
]
