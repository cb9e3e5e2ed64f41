"""The names of pools: as the status writes them (NAMESPACE/SERVICE/PORT), and as Envoy names their clusters."""

from __future__ import annotations

from kiteway.envoy.xds.common import grpc_cluster_name_of

GRPC, REST = "grpc", "rest"


def pool_of(cluster: str) -> tuple[str, str]:
    """Return the pool's name and its protocol, ``grpc`` or ``rest``."""
    name, _, protocol = cluster.removeprefix("pool/").rpartition("/")
    return name, protocol


def clusters_of(pool: str) -> tuple[str, str]:
    """Return the pool's clusters for gRPC and REST."""
    grpc = grpc_cluster_name_of(pool)
    return grpc, grpc.removesuffix(GRPC) + REST
