"""Limits on the size of one file."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """
    Bounds on one file, so that no input takes more than bounded time and memory.

    The defaults leave a wide margin over ``kubectl get -o yaml`` of a cluster with 1,000 Ingresses, 1,000 Services
    and 10,000 endpoints (4 MiB, 450,000 nodes), and keep the worst file under about ten seconds.

    Attributes:
        size: bytes in the file.
        documents: YAML documents in the file.
        nodes: scalars, lists and mappings in the file, aliases counted with all they stand for.
        alias_nodes: the part of `nodes` that may come from aliases and merge keys.
        depth: lists and mappings inside one another.
        scalar: characters in one scalar; Kubernetes refuses objects above 1.5 MiB.
        keys: keys in one mapping.
        diagnostics: mistakes reported one by one; a note counts the rest.
    """

    size: int = 64 << 20
    documents: int = 100_000
    nodes: int = 2_000_000
    alias_nodes: int = 100_000
    depth: int = 64
    scalar: int = 2 << 20
    keys: int = 10_000
    diagnostics: int = 1_000


DEFAULT = Limits()
