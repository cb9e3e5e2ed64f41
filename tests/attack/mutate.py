"""Mutations that know the structure of an object: any field of any kind, with values that are hard to parse."""

from __future__ import annotations

import base64
import json
import random
import string
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

Path = tuple[str | int, ...]
"""The keys and indices that lead to a value; in an annotation that holds JSON they go on into it."""

_LENGTHS = (
    1,
    2,
    15,
    16,
    17,
    62,
    63,
    64,
    100,
    252,
    253,
    254,
    255,
    256,
    1000,
    1024,
    4096,
    8191,
    8192,
    8193,
    16384,
    16385,
)
_HUGE = 70_000
_NUMBERS = (
    0,
    1,
    -1,
    2,
    10,
    11,
    99,
    255,
    300,
    301,
    3600,
    3601,
    65535,
    65536,
    86400,
    86401,
    2**31 - 1,
    2**31,
    2**32,
    2**63,
)
_OTHERS: tuple[Any, ...] = (None, True, False, 0.5, 1e-9, 1e308, -0.0, [], {}, [[]], [{}], {"a": {}}, "")
_STRINGS = (
    " ",
    "*",
    "*.",
    "*.x",
    "x.*",
    "a*b",
    "*.*.x",
    ".",
    "..",
    "a..b",
    ".a",
    "a.",
    "-a",
    "a-",
    "_",
    "A",
    "xn--",
    "xn--a",
    "1",
    "0x10",
    "1e3",
    "null",
    "true",
    "localhost",
    "127.0.0.1",
    "127.0.0.1:1",
    "0.0.0.0",
    "255.255.255.255",
    "169.254.169.254",
    "::",
    "::1",
    "[::1]",
    "fe80::1%lo",
    "::ffff:127.0.0.1",
    "/",
    "//",
    "/*",
    "/**",
    "/./",
    "/../",
    "/%2f",
    "/%00",
    "/a?b",
    "/a#b",
    "/a b",
    "http://x/",
    "%",
    "%%",
    "%REQ(x)%",
    "%START_TIME(%s)%",
    "%DYNAMIC_METADATA(a:b)%",
    "{client_ip_address}",
    "{",
    "}",
    "{}",
    "x:y",
    ":",
    ":path:x",
    ":authority:x",
    "host:x",
    "te:x",
    "connection:close",
    "transfer-encoding:chunked",
    "content-length:1",
    "x-envoy-a:b",
    "a b:c",
    "a:",
    "a:b\r\nc:d",
    "\u00e9:\u00e9",
    "\0",
    "\x01",
    "\x1b[31m",
    "\x7f",
    "\x80",
    "\n",
    "\r",
    "\t",
    "\u00e9",
    "\u0130",
    "\u2028",
    "\u202e",
    "\ufeff",
    "\ufffd",
    "\U0001f600",
    "e\u0301",
    "-----BEGIN CERTIFICATE-----",
    "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    "-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n",
    "$(id)",
    "../../etc/passwd",
    "(a+)+$",
    "[",
    "\\",
    "'\"",
)


@dataclass(frozen=True, slots=True)
class Mutation:
    """What was done: to which field of which kind, and how it is called."""

    kind: str
    path: Path
    how: str

    def __str__(self) -> str:
        return f"{self.kind} {'.'.join(map(str, self.path))}: {self.how}"


def mutate(objects: list[dict[str, Any]], chance: random.Random) -> Mutation:
    """Change one value somewhere in one of ``objects``, which are changed in place."""
    target = chance.choice(objects)
    inner = _annotated_json(target)
    if inner and chance.random() < 0.3:
        return _in_json(target, chance.choice(inner), chance)
    path = chance.choice(list(_paths(target)))
    return Mutation(str(target.get("kind")), path, _change(target, path, chance))


def _paths(value: Any, path: Path = ()) -> Iterator[Path]:
    """Yield the paths of everything but the root, and of no identity: tenants stay apart."""
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in entries:
        here = (*path, key)
        if here not in {("metadata", "namespace"), ("kind",), ("apiVersion",)}:
            yield here
        yield from _paths(inner, here)


def _annotated_json(target: dict[str, Any]) -> list[Path]:
    notes = target.get("metadata", {}).get("annotations", {}) if isinstance(target.get("metadata"), dict) else {}
    items = notes.items() if isinstance(notes, dict) else ()
    return [
        ("metadata", "annotations", key) for key, value in items if isinstance(value, str) and value.startswith("{")
    ]


def _in_json(target: dict[str, Any], at: Path, chance: random.Random) -> Mutation:
    """Change something inside the JSON of an annotation."""
    parent, key = _parent(target, at)
    try:
        holder = {"value": json.loads(parent[key])}
    except ValueError:
        holder = {"value": {}}
    path = chance.choice([("value",), *_paths(holder["value"], ("value",))])
    how = _change(holder, path, chance)
    parent[key] = json.dumps(holder.get("value"))
    return Mutation(str(target.get("kind")), (*at, *path[1:]), how)


def _parent(target: Any, path: Path) -> tuple[Any, Any]:
    for key in path[:-1]:
        target = target[key]
    return target, path[-1]


def _change(target: Any, path: Path, chance: random.Random) -> str:
    parent, key = _parent(target, path)
    value = parent[key]
    choices: list[Callable[[], tuple[str, Any]]] = [
        lambda: ("another value", chance.choice(_OTHERS)),
        lambda: ("a number", chance.choice(_NUMBERS) * chance.choice((1, 1, 1, -1))),
        lambda: ("a string", chance.choice(_STRINGS)),
        lambda: ("a long string", _long(chance)),
        lambda: ("another field's value", _elsewhere(target, chance)),
    ]
    if isinstance(value, str):
        choices += [lambda: _of_string(value, chance)] * 6
    elif isinstance(value, bool | int | float):
        choices += [lambda: ("a number nearby", value + chance.choice((-1, 1, 0.5, 10, -1000)))] * 3
    elif isinstance(value, list):
        choices += [lambda: _of_list(value, chance)] * 6
    elif isinstance(value, dict):
        choices += [lambda: _of_mapping(value, chance)] * 6
    if isinstance(parent, dict) and chance.random() < 0.1:
        del parent[key]
        return "left out"
    how, parent[key] = chance.choice(choices)()
    return how


def _long(chance: random.Random) -> str:
    length = chance.choice((*_LENGTHS, _HUGE))
    kind = chance.randrange(6)
    if kind == 0:
        return "a" * length
    if kind == 1:
        return ("a." * length)[:length]
    if kind == 2:
        return "/" + "a" * length
    if kind == 3:
        return "x:" + "v" * length
    if kind == 4:
        return "x:" + "{client_ip_address}" * (length // 19)
    return "".join(chance.choices(string.printable, k=length))


def _elsewhere(target: Any, chance: random.Random) -> Any:
    parent, key = _parent(target, chance.choice(list(_paths(target)) or [("kind",)]))
    # A copy: one object in two places would be changed in both.
    return json.loads(json.dumps(parent.get(key) if isinstance(parent, dict) else parent[key]))


def _of_string(value: str, chance: random.Random) -> tuple[str, str]:
    at = chance.randrange(len(value) + 1)
    piece = chance.choice((*_STRINGS, chance.choice(string.printable)))
    kind = chance.randrange(8)
    if kind == 0:
        return "inserted", value[:at] + piece + value[at:]
    if kind == 1:
        return "cut", value[:at]
    if kind == 2:
        return "a character changed", value[:at] + chance.choice(string.printable) + value[at + 1 :]
    if kind == 3:
        return "repeated", value * chance.choice((2, 10, 100))
    if kind == 4:
        return "in capitals", value.upper()
    if kind == 5:
        return "padded", chance.choice((" ", "\n", "\0", ".", "/")) + value
    if kind == 6:
        return "appended", value + piece
    return _of_pem(value, chance)


def _of_pem(value: str, chance: random.Random) -> tuple[str, str]:
    """Change a bit or a byte of what is in the first block of a PEM text; something else is turned around."""
    head, middle, rest = value.partition("-----\n")
    body, end, tail = rest.partition("-----END")
    try:
        der = bytearray(base64.b64decode(body, validate=False)) if middle and end else bytearray()
    except ValueError:
        der = bytearray()
    if not der:
        return "turned around", value[::-1]
    at = chance.randrange(len(der))
    der[at] = chance.choice((der[at] ^ 1 << chance.randrange(8), chance.randrange(256)))
    return f"PEM, byte {at}", f"{head}{middle}{base64.encodebytes(bytes(der)).decode()}{end}{tail}"


def _of_list(value: list[Any], chance: random.Random) -> tuple[str, list[Any]]:
    kind = chance.randrange(5)
    if kind == 0 and value:
        times = chance.choice((2, 3, 17, 65, 1001))
        return f"each {times} times", value * times
    if kind == 1 and value and all(isinstance(each, str) for each in value):
        times = chance.choice((17, 100, 1001))
        return f"{times} different", [f"x{number}{each}" for number in range(times) for each in value[:1]]
    if kind == 2:
        return "one more", [*value, chance.choice((*_STRINGS, *_OTHERS, *_NUMBERS))]
    if kind == 3:
        return "empty", []
    return "backwards", value[::-1]


def _of_mapping(value: dict[str, Any], chance: random.Random) -> tuple[str, dict[str, Any]]:
    kind = chance.randrange(4)
    keys = list(value)
    if kind == 0 and len(keys) > 1:
        one, other = chance.sample(keys, 2)
        return f"{one} and {other} exchanged", {**value, one: value[other], other: value[one]}
    if kind == 1:
        return "one more field", {**value, chance.choice(("x", *_STRINGS)): chance.choice((*_OTHERS, *_STRINGS))}
    if kind == 2 and keys:
        one = chance.choice(keys)
        return f"{one} in capitals", {(k.upper() if k == one else k): v for k, v in value.items()}
    return "empty", {}
