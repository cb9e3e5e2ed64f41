"""Distinguishes answers that Kiteway itself gives from those of the server behind it."""

from typing import Final

PREFIX: Final = "kiteway: "
"""The beginning of each of Kiteway's own answers. It may be anywhere in the text that the client gets."""
NO_ENDPOINT: Final = "the Service has no healthy endpoint"
"""The beginning of the sentence of a pool without a healthy endpoint, which also `Connect` gets."""
NOT_ROUTED: Final = "no Ingress routes"
"""The beginning of the sentence for a host that no Ingress has."""
_MOST = 600
_AFTER: Final = ('"}', '","', '", "', "\n")
"""What ends the sentence in JSON and in PyMilvus's texts."""


def own_sentence(text: str) -> str:
    """Return Kiteway's sentence in an answer without its full stop; empty if the answer is not Kiteway's."""
    _, found, sentence = text.partition(PREFIX)
    if not found:
        return ""
    for end in _AFTER:
        sentence = sentence.partition(end)[0]
    return sentence[:_MOST].strip().removesuffix(".")
