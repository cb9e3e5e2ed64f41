"""A session of PyMilvus as a list of steps with their results, which can be compared and printed."""

from __future__ import annotations

import enum
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import grpc
import numpy as np
from pymilvus import MilvusClient

from kiteway.milvus.verify.sdk import quiet

_VOLATILE = frozenset({"collection_id", "created_timestamp", "update_timestamp", "cost"})
"""Differ from one run to the next, on the same path too."""

_NUMBERED = re.compile(r"(plan node id:) \d+")
"""The C++ core numbers the plans of all its searches."""

_SHORT = 60


@dataclass(frozen=True)
class Place:
    """
    An address of Milvus.

    Attributes:
        uri: with ``https``.
        ca: the file with the server's certificate.
        server_name: the name in it.
    """

    uri: str
    ca: str
    server_name: str

    def connect(self, **more: Any) -> MilvusClient:
        """Return a client with its own connection."""
        return MilvusClient(
            self.uri, server_pem_path=self.ca, server_name=self.server_name, dedicated=True, timeout=60, **more
        )


@dataclass(frozen=True)
class Outcome:
    """
    What one step gave.

    Attributes:
        area: the group of the step.
        call: what was called, as a reader recognizes it.
        value: the answer as values of JSON; the text of the error of a refused step.
        refused: whether the step ended with an error.
    """

    area: str
    call: str
    value: Any
    refused: bool = False

    @property
    def short(self) -> str:
        """The value in few characters."""
        text = self.value if self.refused else json.dumps(self.value, ensure_ascii=False, separators=(",", ":"))
        return text if self.refused or len(text) <= _SHORT else f"{text[: _SHORT - 1]}…"


@dataclass
class Session:
    """A run of the steps at one place, by one client."""

    place: Place
    client: MilvusClient = field(init=False)
    outcomes: list[Outcome] = field(default_factory=list)
    area: str = ""

    def __post_init__(self) -> None:
        self.client = self.place.connect()

    def step(self, call: str, work: Callable[[], Any]) -> None:
        """Do one step and note what it gave, also if it was refused."""
        with quiet():
            try:
                value = plain(work())
            except Exception as error:  # noqa: BLE001 - whatever PyMilvus raises is an outcome
                self.outcomes.append(Outcome(self.area, call, _words(error), refused=True))
            else:
                self.outcomes.append(Outcome(self.area, call, value))

    def close(self) -> None:
        """Close the connection."""
        self.client.close()


def run(place: Place, parts: Sequence[Callable[[Session], None]]) -> list[Outcome]:
    """Do all steps at a place."""
    session = Session(place)
    try:
        for part in parts:
            session.area = str(part.__doc__).strip(". \n")
            part(session)
    finally:
        session.close()
    return session.outcomes


def _words(error: Exception) -> str:
    """Return the words of Milvus or PyMilvus; for an error by gRPC its status too."""
    if isinstance(error, grpc.RpcError):
        caught: Any = error
        return ": ".join(part for part in (caught.code().name, caught.details()) if part)
    text = " ".join(str(getattr(error, "message", "") or error).split())
    return _NUMBERED.sub(r"\1 …", text)


def plain(value: Any) -> Any:
    """Return an answer as values of JSON, without what differs each time."""
    match value:
        case enum.Enum():
            return value.name
        case bool() | int() | str() | None:
            return value
        case float():
            return round(value, 6)
        case bytes():
            return value.hex()
        case np.ndarray() | np.generic():
            return plain(value.tolist())
        case Mapping():
            return {str(key): plain(each) for key, each in value.items() if key not in _VOLATILE}
        case list() | tuple() | set():
            return [plain(each) for each in value]
    # Collections of PyMilvus's own.
    if isinstance(value, Sequence) or hasattr(value, "__getitem__"):
        return [plain(value[index]) for index in range(len(value))]
    return str(value)
