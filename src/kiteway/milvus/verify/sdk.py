"""PyMilvus: an optional import, with its log output silenced."""

import contextlib
import importlib
import logging
import os
import warnings
from collections.abc import Iterator
from typing import Any

from kiteway.extras import install_command


class SdkMissingError(Exception):
    """PyMilvus is not installed."""

    def __init__(self) -> None:
        super().__init__(f"verification needs PyMilvus, which is not installed: {install_command('verify')}")


def load_pymilvus() -> Any:
    """Import PyMilvus (about a second).

    Raises:
        SdkMissingError: it is not installed.
    """
    # gRPC reads this once, when it is imported; its handshake errors go to stderr otherwise.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    try:
        return importlib.import_module("pymilvus")
    except ModuleNotFoundError as error:
        if error.name != "pymilvus":
            raise
        raise SdkMissingError from None


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep PyMilvus's tracebacks and deprecation warnings (the ORM's) off stderr until the end of the ``with``."""
    names = [name for name in logging.root.manager.loggerDict if name.partition(".")[0] == "pymilvus"]
    loggers = [logging.getLogger(name) for name in names]
    before = [logger.disabled for logger in loggers]
    for logger in loggers:
        logger.disabled = True
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=FutureWarning, message=".*PyMilvus")
            yield
    finally:
        for logger, was in zip(loggers, before, strict=True):
            logger.disabled = was
