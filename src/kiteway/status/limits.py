"""The limits of Kiteway's own HTTP servers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """
    The limits of a server.

    Attributes:
        connections: open connections on which the head of a request has come, with TLS its first byte.
        of_a_peer: those of them that are from one address.
        silent: open connections on which nothing has come yet.
        partial: open connections on which a part of a head has come.
        waiting: connections whose request waits until those before it are taken.
        head_seconds: seconds from the connection, or the last response, to the end of a request's head; single bytes do
            not extend it.
        answer_seconds: seconds from there until the client has read the whole response.
        head_bytes: the largest head of a request.
    """

    connections: int = 256
    of_a_peer: int = 64
    silent: int = 512
    partial: int = 64
    waiting: int = 128
    head_seconds: float = 5.0
    answer_seconds: float = 15.0
    head_bytes: int = 8 * 1024
