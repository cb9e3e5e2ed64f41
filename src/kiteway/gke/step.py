"""Steps and plans, as values."""

from __future__ import annotations

import enum
import shlex
from collections.abc import Callable
from dataclasses import dataclass, field

from kiteway.diagnostics import Diagnostic, Severity


class State(enum.StrEnum):
    """The state of a step in the last reading."""

    TODO = "todo"
    WAITING = "waiting"
    DONE = "done"
    MANUAL = "manual"


class Impact(enum.StrEnum):
    """The effect on connected clients."""

    NONE = "none"
    RECONNECT = "reconnect"
    PLAINTEXT_INTERRUPTED = "all plaintext clients interrupted"
    INTERRUPTED = "all clients of the old address interrupted"


@dataclass(frozen=True, slots=True)
class Effect:
    """
    The effect of a step on clients.

    Attributes:
        impact: the kind.
        text: which clients, and for how long; one sentence.
    """

    impact: Impact
    text: str


NO_EFFECT = Effect(Impact.NONE, "Clients notice nothing.")


@dataclass(frozen=True, slots=True)
class Command:
    """
    One command, exactly as it is run; never through a shell.

    Attributes:
        argv: the program and its arguments; no secret is ever in them.
        stdin: makes its input; called only when the command runs, so that a plan creates no keys.
        feed: a description of ``stdin`` for people.
    """

    argv: tuple[str, ...]
    stdin: Callable[[], bytes] | None = field(default=None, repr=False, compare=False)
    feed: str = ""

    def __str__(self) -> str:
        line = shlex.join(self.argv)
        return f"{line}   # < {self.feed}" if self.feed else line


@dataclass(frozen=True, slots=True)
class Step:
    """
    One step.

    Attributes:
        id: a stable name, used in records and tests.
        title: an imperative sentence.
        state: see `State`.
        sees: the observation that shows the state.
        diff: what changes, see `kiteway.gke.diff`; empty when nothing does.
        commands: what would be run.
        effect: on clients that are connected now.
        undo: how it is undone.
        seconds: how long to wait for it at most.
    """

    id: str
    title: str
    state: State
    sees: str
    effect: Effect
    undo: str
    diff: str = ""
    commands: tuple[Command, ...] = ()
    seconds: float = 120.0


@dataclass(frozen=True, slots=True)
class Plan:
    """
    The steps to do.

    Attributes:
        steps: in order.
        problems: errors keep the plan from being applied.
    """

    steps: tuple[Step, ...]
    problems: tuple[Diagnostic, ...] = ()

    def step(self, wanted: str) -> Step | None:
        """Return a step by its id; None if the plan has none, because there is nothing left to do with it."""
        return next((step for step in self.steps if step.id == wanted), None)

    @property
    def refused(self) -> bool:
        """Whether an error keeps it from being applied."""
        return any(problem.severity is Severity.ERROR for problem in self.problems)

    @property
    def changes(self) -> bool:
        """Whether there is anything to do."""
        return any(step.state in {State.TODO, State.WAITING} for step in self.steps)
