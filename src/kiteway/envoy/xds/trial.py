"""
A listener without a port, on which Envoy builds parts of a route table that it has rejected (`kiteway.quarantine.apart`).

Envoy builds a whole table for each change of it, so trying a few hosts in the table that is served costs as much as all hosts.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final

from google.protobuf.wrappers_pb2 import BoolValue

from kiteway._proto.envoy.config.core.v3.address_pb2 import Address, Pipe
from kiteway._proto.envoy.config.listener.v3.listener_components_pb2 import Filter, FilterChain, FilterChainMatch
from kiteway._proto.envoy.config.listener.v3.listener_pb2 import Listener
from kiteway._proto.envoy.extensions.filters.network.http_connection_manager.v3 import (
    http_connection_manager_pb2 as hcm,
)
from kiteway.diagnostics import ObjectRef
from kiteway.envoy.settings import EnvoySettings
from kiteway.envoy.xds.assembled import Assembled
from kiteway.envoy.xds.common import ads, pack, source_name
from kiteway.envoy.xds.filters import http_filters

NAME: Final = "trial"
_HOST: Final = "/host/"


def trial_listener(tables: Iterable[Assembled], settings: EnvoySettings) -> Listener:
    """Return the listener for the parts of ``tables``. Nothing can connect to it."""
    return Listener(
        name=NAME,
        # Not bound either. Of a listener with an address and port, Envoy says that it listens there.
        address=Address(pipe=Pipe(path=f"@kiteway-{NAME}")),
        bind_to_port=BoolValue(value=False),
        filter_chains=[_chain(trial_name(each), settings) for each in tables],
    )


def trial_tables(tables: Iterable[Assembled], sources: Collection[ObjectRef]) -> list[Assembled]:
    """Return of each of ``tables`` the part with the hosts of ``sources``."""
    wanted = set(map(source_name, sources))
    return [_part(table, wanted) for table in tables]


def trial_name(table: Assembled) -> str:
    """Return the name of the part of a table that is on trial."""
    name: str = table.rest.name  # type: ignore[attr-defined]
    return f"{NAME}/{name}"


def _part(table: Assembled, wanted: Collection[str]) -> Assembled:
    rest = type(table.rest)()
    rest.CopyFrom(table.rest)
    rest.name = trial_name(table)  # type: ignore[attr-defined]
    both = zip(table.members, table.pieces, strict=True)
    chosen = [(member, piece) for member, piece in both if _source(member.name) in wanted]  # type: ignore[attr-defined]
    return Assembled(rest, table.field, tuple(m for m, _ in chosen), tuple(p for _, p in chosen))


def _source(virtual_host: str) -> str:
    return virtual_host.partition(_HOST)[0]


def _chain(table: str, settings: EnvoySettings) -> FilterChain:
    manager = hcm.HttpConnectionManager(
        stat_prefix=NAME,
        rds=hcm.Rds(config_source=ads(), route_config_name=table),
        http_filters=http_filters(settings),
        generate_request_id=BoolValue(value=False),
    )
    return FilterChain(
        name=table,
        filter_chain_match=FilterChainMatch(application_protocols=[table]),
        filters=[Filter(name="envoy.filters.network.http_connection_manager", typed_config=pack(manager))],
    )
