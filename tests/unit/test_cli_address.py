"""How `verify` and `doctor` read the address of a Milvus."""

from __future__ import annotations

import pytest

from kiteway.cli.address import parse_address
from kiteway.probe import Endpoint


@pytest.mark.parametrize(
    ("text", "plaintext", "endpoint", "secure"),
    [
        ("milvus.example", False, Endpoint("milvus.example", 443), True),
        ("milvus.example", True, Endpoint("milvus.example", 19530), False),
        ("https://milvus.example", False, Endpoint("milvus.example", 443), True),
        ("https://milvus.example:8443/", False, Endpoint("milvus.example", 8443), True),
        ("HTTPS://[::1]:8443", False, Endpoint("::1", 8443), True),
        ("http://localhost:19530", False, Endpoint("localhost", 19530), False),
        ("http://localhost", True, Endpoint("localhost", 19530), False),
    ],
)
def test_an_address_or_pymilvuss_uri(text: str, plaintext: bool, endpoint: Endpoint, secure: bool) -> None:  # noqa: FBT001
    """PyMilvus's URI is taken as it is; its scheme says whether to use TLS."""
    assert parse_address(text, plaintext=plaintext) == (endpoint, secure)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("https://a:1", "give one of the two"),
        ("ftp://a", "without a scheme"),
        ("http://a/path", "without a scheme or a path"),
    ],
)
def test_contradictions_and_invalid_addresses_are_refused(text: str, words: str) -> None:
    """A scheme against --plaintext, another scheme, and a path."""
    with pytest.raises(ValueError, match=words):
        parse_address(text, plaintext=True)
