"""The dependencies of an issuance: configuration, storage, presenter, clock."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from kiteway.acme.config import AcmeConfig
from kiteway.acme.storage import Storage
from kiteway.model import Challenge


class Presenter(Protocol):
    """Makes challenges visible to the CA."""

    def present(self, context: IssuanceContext, folder: str, challenges: Sequence[Challenge]) -> None:
        """
        Return when every live replica serves the challenges of the certificate in ``folder``.

        Raises:
            AcmeError: the challenges do not become visible.
            StoppedError: the process ends.
            LeaseLostError, OSError: the storage's.
        """

    def clean_up(self, context: IssuanceContext, folder: str) -> None:
        """Remove the challenges of ``folder``, of this attempt or an earlier one. Never raises."""


class StoppedError(Exception):
    """The process ends; the next process finishes what this one began."""


@dataclass(frozen=True, slots=True)
class IssuanceContext:
    """
    The dependencies of an issuance.

    Attributes:
        config: the CA and the account.
        storage: shared with the other processes.
        presenter: see `Presenter`.
        bind: the address of the listeners.
        stop: set when the process ends.
        now: the clock (UTC).
        addresses: where clients reach Kiteway, as far as it is configured or known.
        waiting: called with a folder and what its certificate waits for, as text for people.
    """

    config: AcmeConfig
    storage: Storage
    presenter: Presenter
    bind: str
    stop: threading.Event
    now: Callable[[], dt.datetime]
    addresses: Callable[[], tuple[str, ...]] = tuple
    waiting: Callable[[str, str], None] = lambda _folder, _text: None

    def sleep(self, seconds: float) -> None:
        """Wait. Raises ``StoppedError`` when the process ends meanwhile."""
        if self.stop.wait(seconds):
            raise StoppedError
