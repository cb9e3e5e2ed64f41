"""The server names of each filter chain of a listener, read from its matcher."""

from __future__ import annotations

from google.protobuf.wrappers_pb2 import StringValue

from kiteway._proto.envoy.config.listener.v3.listener_pb2 import Listener
from kiteway._proto.xds.type.matcher.v3.domain_pb2 import ServerNameMatcher
from kiteway._proto.xds.type.matcher.v3.matcher_pb2 import Matcher


def names_by_chain(listener: Listener) -> dict[str, list[str]]:
    """Return the names for which each filter chain is chosen, without those that are for the validation of a name only."""
    matcher = listener.filter_chain_matcher
    return names_of(matcher.on_no_match.matcher if matcher.HasField("on_no_match") else matcher)


def names_of(matcher: Matcher) -> dict[str, list[str]]:
    """Return the names for which a matcher of server names chooses each filter chain."""
    found = ServerNameMatcher()
    matcher.matcher_tree.custom_match.typed_config.Unpack(found)
    chains: dict[str, list[str]] = {}
    for each in found.domain_matchers:
        chain = StringValue()
        each.on_match.action.typed_config.Unpack(chain)
        chains[chain.value] = list(each.domains)
    return chains
