"""A real Milvus on this machine, for `kiteway demo` and the tests: it needs no container, and no root to install."""

from kiteway.milvus.embedded.binary import MilvusUnavailableError
from kiteway.milvus.embedded.cluster import MilvusCluster
from kiteway.milvus.embedded.config import FIRST_USER, ClientFiles, TLSFiles, Tuning
from kiteway.milvus.embedded.lite import LiteMilvus
from kiteway.milvus.embedded.lite_cluster import LiteCluster
from kiteway.milvus.embedded.ready import MilvusEndpoint
from kiteway.milvus.embedded.server import MilvusStartError
from kiteway.milvus.embedded.standalone import StandaloneMilvus

__all__ = [
    "FIRST_USER",
    "ClientFiles",
    "LiteCluster",
    "LiteMilvus",
    "MilvusCluster",
    "MilvusEndpoint",
    "MilvusStartError",
    "MilvusUnavailableError",
    "StandaloneMilvus",
    "TLSFiles",
    "Tuning",
]
