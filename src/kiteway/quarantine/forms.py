"""The form of a unit: the content that reaches Envoy, identified by a hash that is the same in every process."""

from __future__ import annotations

import dataclasses
import hashlib
import typing
from typing import Any, Final

import msgspec

from kiteway.model import PrivateKey
from kiteway.resources import Object
from kiteway.translate.shared.unit import Claimant, Unit

_APART: Final = ("owner", "diagnostics", "dependencies", "retained", "failed")
"""Fields of a unit that do not reach Envoy."""
_FIELDS: Final = tuple(field.name for field in dataclasses.fields(Unit) if field.name not in _APART)


def fingerprint(unit: Unit) -> str:
    """Return a hash of the form of a unit; equal forms have equal hashes."""
    return hashlib.blake2b(encode(unit), digest_size=16).hexdigest()


def encode(unit: Unit) -> bytes:
    """Return the form of a unit as JSON. It holds private keys."""
    return msgspec.json.encode({name: getattr(unit, name) for name in _FIELDS}, enc_hook=_encode)


def decode(content: bytes, owner: Object) -> Unit:
    """
    Return the unit of ``owner`` in the form whose JSON is ``content``.

    Raises:
        ValueError: it is of another version of Kiteway, or damaged.
    """
    kinds = typing.get_type_hints(Unit)
    try:
        stored = _with_claimants(msgspec.json.decode(content, type=dict[str, msgspec.Raw]), owner)
        values = {
            name: msgspec.json.decode(stored[name], type=kinds[name], dec_hook=_decode)
            for name in _FIELDS
            if name in stored
        }
        return Unit(owner=owner, diagnostics=(), dependencies=(), retained=True, **values)
    except (TypeError, RecursionError) as error:
        raise ValueError(str(error)) from error


def _with_claimants(stored: dict[str, msgspec.Raw], owner: Object) -> dict[str, msgspec.Raw]:
    """Return a form whose hosts have claimants: the first forms stored none."""
    if "hosts" not in stored:
        return stored
    unknown = msgspec.Raw(msgspec.json.encode(Claimant(owner.ref, ("spec",))))
    hosts = msgspec.json.decode(stored["hosts"], type=list[dict[str, msgspec.Raw]])
    return {**stored, "hosts": msgspec.Raw(msgspec.json.encode([{"claimant": unknown, **host} for host in hosts]))}


def _encode(value: Any) -> Any:
    if isinstance(value, PrivateKey):
        return value.reveal()
    raise NotImplementedError(f"a form holds a {type(value).__name__}")


def _decode(kind: type, value: Any) -> Any:
    if kind is PrivateKey:
        return PrivateKey(msgspec.convert(value, bytes, strict=False))
    raise NotImplementedError(f"a form holds a {kind.__name__}")
