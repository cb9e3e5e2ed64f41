"""DNS look-ups at a server, without the machine's hosts file."""

from __future__ import annotations

import dns.exception
import dns.resolver
from dns.rdatatype import RdataType

from kiteway.acme.precheck import Lookup, split_address

_LOOKUP_SECONDS = 5.0


class DNSResolver:
    """The system's resolver, or the one at an address (``HOST`` or ``HOST:PORT``)."""

    def __init__(self, address: str = "") -> None:
        """Raise ``ValueError`` if the server is no IP address."""
        self._resolver: dns.resolver.Resolver | None = None
        if address:
            host, port = split_address(address)
            self._resolver = dns.resolver.Resolver(configure=False)
            self._resolver.nameservers = [host]
            self._resolver.port = port
        else:
            try:
                self._resolver = dns.resolver.Resolver()
            except dns.exception.DNSException:
                return  # no /etc/resolv.conf: no look-up will get an answer
        self._resolver.lifetime = _LOOKUP_SECONDS

    def lookup(self, name: str, kind: str) -> Lookup:
        """See `Resolver.lookup`."""
        if self._resolver is None:
            return Lookup(known=False)
        try:
            answer = self._resolver.resolve(f"{name}.", RdataType.from_text(kind), raise_on_no_answer=False)
        except dns.resolver.NXDOMAIN:
            return Lookup()
        except (dns.exception.DNSException, OSError):
            return Lookup(known=False)
        return Lookup(tuple(sorted(record.to_text() for record in answer)))
