"""
Which ports are ours: a port is bound by one instance of one data directory, and by its successor.

``port`` says which an instance needs, ``own`` looks whether each can be had, ``claims`` keeps a user's instances apart, and
``holders`` finds out who has one.
"""

from kiteway.ports.claims import Claims
from kiteway.ports.own import PATIENCE_SECONDS, own_ports
from kiteway.ports.port import Port, PortError, ports_of

__all__ = ["PATIENCE_SECONDS", "Claims", "Port", "PortError", "own_ports", "ports_of"]
