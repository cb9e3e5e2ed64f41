"""The state of an instance in one word."""

from __future__ import annotations

import enum


class State(enum.StrEnum):
    """What `kiteway status` says first, and exits by."""

    READY = "ready"
    DEGRADED = "degraded"
    """It serves, but not everything that was asked of it."""
    NOT_READY = "not ready"
