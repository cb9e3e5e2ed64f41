"""The address of a running balancer or Milvus, as a user types it."""

from __future__ import annotations

from kiteway.probe import Endpoint, parse_endpoint

_DEFAULT_PORTS = {True: 443, False: 19530}


def parse_address(text: str, *, plaintext: bool) -> tuple[Endpoint, bool]:
    """
    Read ``HOST``, ``HOST:PORT`` or a URI of PyMilvus (``https://HOST:PORT``); return it and whether to use TLS.

    Args:
        text: the address; without a port it is 443, or 19530 in plaintext.
        plaintext: whether the user asked for no TLS; ``http://`` asks for it too.

    Raises:
        ValueError: with a sentence for the user.
    """
    scheme, found, rest = text.partition("://")
    if found and scheme.lower() in {"http", "https"}:
        if plaintext and scheme.lower() == "https":
            msg = f"{text!r} asks for TLS and --plaintext for none: give one of the two"
            raise ValueError(msg)
        plaintext = scheme.lower() == "http"
        text = rest.removesuffix("/")
    secure = not plaintext
    return parse_endpoint(text, _DEFAULT_PORTS[secure]), secure
