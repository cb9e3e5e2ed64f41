"""The catalogue of rpcs, and the expressions made of it."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from kiteway.milvus.catalogue import Rpc, RpcClass, catalogue, path_regex

RPCS = catalogue()


@given(st.sets(st.sampled_from(RPCS), min_size=1))
def test_an_expression_matches_exactly_its_rpcs(chosen: set[Rpc]) -> None:
    """Whatever rpcs it is made of, it matches their paths and no other path of the catalogue."""
    expression = path_regex(chosen)

    assert {rpc for rpc in RPCS if re.fullmatch(expression, rpc.path)} == chosen


@given(st.sets(st.sampled_from(RPCS), min_size=1), st.text("SearchQuyx.", min_size=1, max_size=3))
def test_an_expression_matches_no_longer_name(chosen: set[Rpc], more: str) -> None:
    """A name that only begins like one of them is not matched, unless it is one of them too."""
    expression = path_regex(chosen)
    paths = {rpc.path for rpc in chosen}

    assert not [p for p in (path + more for path in paths) if p not in paths and re.fullmatch(expression, p)]


def test_every_read_may_be_repeated_and_no_write() -> None:
    """The class of an rpc and whether it may be sent twice agree."""
    never = {RpcClass.WRITE, RpcClass.WRITE_BULK, RpcClass.DDL, RpcClass.ADMIN_RBAC, RpcClass.REPLICATION}

    assert all(rpc.retry_safe for rpc in RPCS if rpc.rpc_class in {RpcClass.READ, RpcClass.META_READ})
    assert not any(rpc.retry_safe for rpc in RPCS if rpc.rpc_class in never)
