"""What an issuance needs from around it."""

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
            AcmeError: they do not become visible.
            StoppedError: the process ends.
            LeaseLostError, OSError: the storage's.
        """

    def clean_up(self, context: IssuanceContext, folder: str) -> None:
        """Take away what is shown for ``folder``, by this attempt or one before it. Never raises."""


class StoppedError(Exception):
    """The process ends; whatever was begun is finished by the next."""


@dataclass(frozen=True, slots=True)
class IssuanceContext:
    """
    What an issuance needs from around it.

    Attributes:
        config: the CA and the account.
        storage: shared with the other processes.
        presenter: see `Presenter`.
        bind: the address of the listeners.
        stop: set when the process ends.
        now: the clock (UTC).
        addresses: where clients reach Kiteway, as far as somebody said so.
        waiting: told what the certificate in a folder waits for, for people.
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
