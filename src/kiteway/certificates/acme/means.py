"""What an issuance needs from around it."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from kiteway.certificates.acme.config import AcmeConfig
from kiteway.certificates.storage import Storage
from kiteway.model import Challenge


class Presenter(Protocol):
    """Makes challenges visible to the CA."""

    def present(self, challenges: Sequence[Challenge]) -> None:
        """
        Return when every live replica serves ``challenges``.

        Raises:
            AcmeError: they do not become visible.
        """

    def clean_up(self, challenges: Sequence[Challenge]) -> None:
        """Take them away again. Never raises."""


class StoppedError(Exception):
    """The process ends; whatever was begun is finished by the next."""


@dataclass(frozen=True, slots=True)
class Means:
    """
    What an issuance needs from around it.

    Attributes:
        config: the CA and the account.
        storage: shared with the other processes.
        presenter: see `Presenter`.
        bind: the address of the listeners.
        stop: set when the process ends.
        now: the clock (UTC).
    """

    config: AcmeConfig
    storage: Storage
    presenter: Presenter
    bind: str
    stop: threading.Event
    now: Callable[[], dt.datetime]

    def sleep(self, seconds: float) -> None:
        """Wait. Raises ``StoppedError`` when the process ends meanwhile."""
        if self.stop.wait(seconds):
            raise StoppedError
