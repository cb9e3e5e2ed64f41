"""The comparison of the data planes of `kiteway gke` (``--tradeoffs``)."""

from __future__ import annotations

from kiteway.gke.options import DataPlane

COLUMNS = ("", *DataPlane)

ROWS: tuple[tuple[str, str, str, str], ...] = (
    (
        "What requests pass through",
        "Google's balancer, then Milvus",
        "a Layer-4 address, Kiteway in the cluster, then Milvus",
        "Google's balancer, Kiteway in the cluster, then Milvus",
    ),
    ("Milvus's tlsMode", "1: Google speaks HTTP/2 over TLS only", "stays 0", "stays 0: TLS ends at Kiteway"),
    (
        "Plaintext clients on the old address",
        "all interrupted from the restart on, until they use TLS",
        "not interrupted",
        "not interrupted",
    ),
    ("Restarts of Milvus", "two rolling ones", "none", "none"),
    ("Understands Milvus (retries by call, in-band errors)", "no", "yes", "yes"),
    ("Cache of searches", "no", "yes, once a MilvusPolicy turns it on", "yes, once a MilvusPolicy turns it on"),
    ("REST and gRPC on one port", "no: REST is on its own port in the cluster", "yes", "yes"),
    ("Runs where", "at Google", "in the cluster, on your nodes", "both"),
    (
        "Google's edge (anycast, Cloud Armor, managed certificates)",
        "yes",
        "no (certificates by ACME)",
        "yes",
    ),
    ("Ready after", "about 10 minutes", "about 1 minute", "about 10 minutes"),
)
"""Each row has a title, then one cell for each `DataPlane` in its order."""
