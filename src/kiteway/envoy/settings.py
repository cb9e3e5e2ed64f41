"""The settings of the data plane on the command line; everything else comes from the resources."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from kiteway.envoy.filter_config import UserNaming
from kiteway.envoy.otlp import OtlpSettings


@dataclass(frozen=True, slots=True)
class EnvoySettings:
    """
    The data plane's part of the command line.

    Attributes:
        bind: the address the public listeners bind to.
        https_port: the port of the HTTPS listener (443 on GKE).
        http_port: the port of the HTTP listener (80 on GKE); None opens none.
        grpc_port: the port of the plaintext gRPC listener for clients without TLS (19530); None opens none.
        public_https_port: the port in the URL of a redirect; None for 443, which a URL omits.
        trusted_hops: how many proxies in front of Envoy are trusted to write x-forwarded-for.
        proxy_protocol: whether every connection begins with a PROXY protocol header (v1 or v2).
        listener_network_namespace: the file of the network namespace the public listeners live in, when Envoy
            itself runs in another one (the demo keeps Milvus in its own namespace).
        filter_path: the library of the Rust filter; None for Envoy without it.
        fail_open: whether all endpoints of a pool get calls when none passes its check; on GKE none does.
        access_log: the file the access log goes to; None writes none.
        log_calls: whether the filter reads messages for the access log; without an access log it has no effect.
        log_users: how users are named, in the access log and in the counts of calls.
        user_key: the file with the key of user hashes; None: Envoy makes a random key at each start.
        calls_socket: the socket on which the filter reports its counts of calls by collection, user and endpoint; None:
            it does not count them.
        otlp: the collector that gets traces, and the access log if that is asked for; None: no call is traced.
    """

    bind: str = "127.0.0.1"
    https_port: int = 8443
    http_port: int | None = 8080
    grpc_port: int | None = None
    public_https_port: int | None = None
    trusted_hops: int = 0
    proxy_protocol: bool = False
    listener_network_namespace: str | None = None
    filter_path: Path | None = None
    fail_open: bool = False
    access_log: Path | None = None
    log_calls: bool = False
    log_users: UserNaming = UserNaming.NAMES
    user_key: Path | None = None
    calls_socket: Path | None = None
    otlp: OtlpSettings | None = None

    @property
    def logs(self) -> bool:
        """Return whether there is an access log, in a file or at the collector."""
        return self.access_log is not None or (self.otlp is not None and self.otlp.logs)
