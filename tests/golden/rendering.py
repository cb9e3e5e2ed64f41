"""
What a golden file shows.

The xDS is complete but for what every configuration has in common: a cluster, a route or a filter chain is shown as
its differences to one of the same kind in ``common.yaml``, which holds those of the guide in full. So a change of a
default changes one file, and a case shows what is special about it.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
from collections.abc import Iterable, Mapping
from typing import Any

import yaml
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

from kiteway.diagnostics import ObjectRef
from kiteway.envoy.xds.redact import redacted
from kiteway.model import Certificate, PoolKey, PrivateKey, TrustBundle
from tests.golden.inputs import Translated
from tests.support.yaml_text import Dumper

_CHAINS = ("filter_chains", "default_filter_chain")
_ABSENT = "(absent)"
_HIDDEN = frozenset({"chain", "key", "fingerprint", "pem"})


def render(case: Translated, common: Mapping[str, Any]) -> str:
    """Return the golden text of a case."""
    document = {
        "diagnostics": [str(diagnostic) for diagnostic in case.diagnostics],
        "model": plain(case.model),
        "endpoints": {str(key): [plain(e) for e in members] for key, members in case.endpoints.items() if members},
        "xds": described(case.messages, common),
    }
    return dump(document)


def dump(document: Any) -> str:
    """Return YAML without aliases, lines never folded."""
    return yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=10_000)


class _Dumper(Dumper):  # type: ignore[misc]
    def ignore_aliases(self, data: Any) -> bool:
        return True


def plain(value: Any) -> Any:
    """Return a value of the model as plain values; fields at their default and secrets are left out."""
    if isinstance(value, enum.IntEnum):
        return value.name
    if isinstance(value, ObjectRef | PoolKey):
        return str(value)
    if isinstance(value, dt.datetime):
        return value.isoformat()
    if isinstance(value, tuple):
        return [plain(item) for item in value]
    if isinstance(value, PrivateKey):
        return repr(value)
    if dataclasses.is_dataclass(value):
        hidden = _HIDDEN if isinstance(value, Certificate | TrustBundle) else frozenset()
        return {
            field.name: plain(getattr(value, field.name))
            for field in dataclasses.fields(value)
            if field.name not in hidden and getattr(value, field.name) != field.default
        }
    return value.value if isinstance(value, enum.Enum) else value


def described(messages: Iterable[Message], common: Mapping[str, Any]) -> list[Any]:
    """Return the xDS as plain values, each part as its difference to the common one of its kind."""
    found = []
    for message in messages:
        value = _as_dict(message)
        match message.DESCRIPTOR.name:
            case "Cluster":
                value = _different(value, common, f"cluster/{value['name'].rpartition('/')[2]}")
            case "RouteConfiguration":
                for host in value.get("virtual_hosts", ()):
                    host["routes"] = [_different(route, common, _route_kind(route)) for route in host["routes"]]
            case "Listener":
                chains = {key: _chains(value.pop(key), common) for key in _CHAINS if key in value}
                value = {**_different(value, common, f"listener/{value['name']}"), **chains}
        found.append({message.DESCRIPTOR.name: value})
    return found


def commons(messages: Iterable[Message]) -> dict[str, Any]:
    """Return the parts that others are compared with: the first of each kind."""
    found: dict[str, Any] = {}
    for message in messages:
        value = _as_dict(message)
        match message.DESCRIPTOR.name:
            case "Cluster":
                found.setdefault(f"cluster/{value['name'].rpartition('/')[2]}", value)
            case "RouteConfiguration":
                for host in value["virtual_hosts"]:
                    for route in host["routes"]:
                        found.setdefault(_route_kind(route), route)
            case "Listener":
                for chain in value.pop("filter_chains", ()):
                    found.setdefault(_chain_kind(chain), chain)
                value.pop("default_filter_chain", None)
                found[f"listener/{value['name']}"] = value
    return found


def _as_dict(message: Message) -> dict[str, Any]:
    value: dict[str, Any] = _in_order(MessageToDict(redacted(message), preserving_proto_field_name=True))
    if message.DESCRIPTOR.name == "Secret":
        # The model says whose certificate, and which CA, it is.
        if "tls_certificate" in value:
            value["tls_certificate"]["certificate_chain"] = "(PEM)"
        else:
            value["validation_context"]["trusted_ca"] = "(PEM)"
    return value


def _in_order(value: Any) -> Any:
    """Sort the keys: those of a protobuf map have another order in every process."""
    if isinstance(value, list):
        return [_in_order(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {key: _in_order(value[key]) for key in sorted(value, key=lambda key: (key != "name", key))}


def _route_kind(route: Mapping[str, Any]) -> str:
    _, _, last = route["name"].rpartition("/")
    if "route" in route:
        return f"route/{last}"
    if "redirect" in route:
        return "redirect"
    # What no path and no host get has one name everywhere; other answers differ by what they answer for.
    return f"answer/{route['name'] if route['name'].startswith('no-') else last}"


def _chain_kind(chain: Mapping[str, Any]) -> str:
    return "chain/https" if "transport_socket" in chain else "chain/http"


def _chains(value: Any, common: Mapping[str, Any]) -> Any:
    if isinstance(value, list):
        return [_different(chain, common, _chain_kind(chain)) for chain in value]
    return _different(value, common, _chain_kind(value))


def _different(value: Mapping[str, Any], common: Mapping[str, Any], kind: str) -> Any:
    if kind not in common:
        return value
    return {"like": kind, **_delta(value, common[kind])}


def _delta(value: Mapping[str, Any], base: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, own in value.items():
        other = base.get(key)
        if own == other:
            continue
        found[key] = _delta(own, other) if isinstance(own, dict) and isinstance(other, dict) else own
    for key in base:
        if key not in value:
            found[key] = _ABSENT
    return found
