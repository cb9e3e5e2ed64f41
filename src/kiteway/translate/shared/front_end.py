"""The interface of a front end, an API by which users claim hosts, such as Ingress."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from kiteway.diagnostics import Diagnostic
from kiteway.resources import Object
from kiteway.translate.shared.context import Index, Options
from kiteway.translate.shared.namespaces import Asked
from kiteway.translate.shared.unit import Unit

O = TypeVar("O", bound=Object)  # noqa: E741


@dataclass(frozen=True, slots=True)
class FrontEnd(Generic[O]):
    """
    The functions that translate objects of one kind. All functions are pure.

    Attributes:
        kind: the kind of the objects that claim hosts.
        is_ours: whether an object is meant for Kiteway, and a diagnostic about that, if there is one.
        asked: the hosts and paths that an object asks for, counted without looking at other objects.
        translate: what an object means on its own; the claims of others are not looked at.
    """

    kind: type[O]
    is_ours: Callable[[O, Index, Options], tuple[bool, Diagnostic | None]]
    asked: Callable[[O], Asked]
    translate: Callable[[O, Index, Options], Unit]
