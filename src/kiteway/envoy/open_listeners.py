"""Which listeners are open, computed from the model and the settings; every other module asks here."""

from __future__ import annotations

import itertools

from kiteway.envoy.settings import EnvoySettings
from kiteway.model import HTTPChallenge, HTTPMode, Listener, ListenerProtocol, LoadBalancer


def open_listeners(model: LoadBalancer, settings: EnvoySettings) -> tuple[Listener, ...]:
    """Return the listeners that serve at least one host or challenge, HTTPS first; the other ports stay closed."""
    found = []
    if model.server_names:
        hosts = tuple([host.domain for host in model.hosts if host.https])
        names = tuple(itertools.chain.from_iterable(entry.names for entry in model.server_names))
        found.append(Listener(ListenerProtocol.HTTPS, settings.bind, settings.https_port, hosts, names))
    if settings.http_port is not None:
        hosts = tuple([host.domain for host in model.hosts if host.http is not HTTPMode.OFF])
        if hosts or any(isinstance(challenge, HTTPChallenge) for challenge in model.challenges):
            found.append(Listener(ListenerProtocol.HTTP, settings.bind, settings.http_port, hosts))
    if settings.grpc_port is not None and model.hosts:
        hosts = tuple([host.domain for host in model.hosts if not host.own_connections])
        found.append(Listener(ListenerProtocol.GRPC, settings.bind, settings.grpc_port, hosts))
    return tuple(found)
