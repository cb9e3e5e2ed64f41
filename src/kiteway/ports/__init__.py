"""
Makes sure that a port belongs to one instance, and to its successor.

``port`` lists the ports that an instance needs, ``own`` checks that each is free, ``claims`` prevents two instances of a
user from sharing one, and ``holders`` finds the process that uses one.
"""

from kiteway.ports.claims import Claims
from kiteway.ports.holders import Holder, holders
from kiteway.ports.own import PATIENCE_SECONDS, own_ports
from kiteway.ports.port import Port, PortError, ports_of

__all__ = ["PATIENCE_SECONDS", "Claims", "Holder", "Port", "PortError", "holders", "own_ports", "ports_of"]
