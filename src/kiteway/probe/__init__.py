"""Layered probes of an address: DNS, TCP, TLS, HTTP/2, gRPC, HTTP, Milvus.

Each takes a timeout and returns a frozen value; what the network does wrong is in the value, never
an exception.
"""

from kiteway.probe.backend import BackendFacts, detect
from kiteway.probe.result import Endpoint, ProbeFailure, Reason, parse_endpoint
from kiteway.probe.trust import TlsOptions, TrustFileError

__all__ = [
    "BackendFacts",
    "Endpoint",
    "ProbeFailure",
    "Reason",
    "TlsOptions",
    "TrustFileError",
    "detect",
    "parse_endpoint",
]
