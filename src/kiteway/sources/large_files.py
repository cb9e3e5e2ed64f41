"""Large files are decoded in a process of their own, so that no other file waits for them."""

from __future__ import annotations

import asyncio
import pickle
import sys
import threading
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final, NamedTuple

from kiteway.collector import collect_later
from kiteway.diagnostics import Diagnostic, Severity
from kiteway.resources import Loaded
from kiteway.sources.files import Decoded

_LONGEST_SECONDS: Final = 120.0
"""The worst file within the limits takes some ten seconds of a processor, and the process has a low priority."""
_NICE: Final = 10
"""The control plane and Envoy come first."""


_PAUSES: Final = (1.0, 2.0, 4.0, 8.0, 15.0)
"""Seconds before further attempts while ``urgent``, if the process fails; of all files together, so that a start ends."""


class _Last(NamedTuple):
    path: Path
    decoded: Decoded


class LargeFileReader:
    """
    Decodes large files one at a time, the smallest first, in passes.

    A pass has the files that wait when it begins, each once. So a file that changes all the time delays others by one file.

    `decoded` may be called in any thread, everything else in that of the event loop.

    Attributes:
        urgent: whether they are decoded at the priority of everything else, and count although they have changed meanwhile:
            at a start.
        passed: whether a pass has ended.
    """

    def __init__(self) -> None:
        self.urgent = True
        self.passed = False
        self._lock = threading.Lock()
        self._wanted: dict[Path, bytes] = {}
        self._pass: set[Path] = set()
        self._last: _Last | None = None
        self._one_at_a_time = asyncio.Lock()
        self._asked = asyncio.Event()
        self._pauses = iter(_PAUSES)

    def decoded(self, path: Path, text: bytes) -> Decoded | None:
        """
        Return the content of a file if it was the last to be decoded. Otherwise return None, and decode the file later.

        While ``urgent`` a text that was changed while it was decoded is returned, too, and the new one is decoded.
        """
        with self._lock:
            last = self._last
            if last is not None and last.path == path:
                self._last = None
                if last.decoded.text == text:
                    return last.decoded
            self._wanted[path] = text
            return last.decoded if self.urgent and last is not None and last.path == path else None

    def waits(self, path: Path) -> bool:
        """Return whether a file is still to be decoded, and was not the last to be decoded either."""
        with self._lock:
            return path in self._wanted and (self._last is None or self._last.path != path)

    @property
    def waiting(self) -> bool:
        """Whether a file is to be decoded."""
        with self._lock:
            return bool(self._wanted)

    def start(self) -> None:
        """Let `results` decode what is waiting."""
        if self.waiting:
            self._asked.set()

    async def results(self) -> AsyncIterator[None]:
        """Yield whenever a file was decoded."""
        while True:
            await self._asked.wait()
            self._asked.clear()
            while self.waiting:
                await self.decode_next()
                yield

    async def decode_next(self) -> None:
        """Decode the smallest of the files of the pass, if any; one whose decoding is cancelled is still waiting."""
        async with self._one_at_a_time:
            with self._lock:
                if not self._wanted:
                    return
                if not self._pass:
                    self._pass = set(self._wanted)
                path = min(self._pass, key=lambda path: len(self._wanted[path]))
                text = self._wanted[path]
            decoded = await self._decode(path, text)
            with self._lock:
                if self._wanted[path] == text:
                    del self._wanted[path]
                self._pass.remove(path)
                self.passed = self.passed or not self._pass
                self._last = _Last(path, decoded)

    async def _decode(self, path: Path, text: bytes) -> Decoded:
        while True:
            try:
                return Decoded(text, await _in_a_process(path, text, nice=0 if self.urgent else _NICE))
            except TimeoutError:
                why = f"took longer than {_LONGEST_SECONDS:g} s"
                break
            except OSError as error:
                why = f"failed ({error})"
            pause = next(self._pauses, None) if self.urgent else None
            if pause is None:
                break
            await asyncio.sleep(pause)
        message = f"{path} cannot be read: decoding it {why}. It is tried again."
        problem = Diagnostic(Severity.ERROR, "FileUnreadable", message, "Split the file if that does not help.")
        return Decoded(text, Loaded((), (problem,)), failed=True)


async def _in_a_process(path: Path, text: bytes, *, nice: int) -> Loaded:
    """Raise ``OSError`` if the process fails, and ``TimeoutError`` if it takes too long."""
    process = await asyncio.create_subprocess_exec(
        # As the control plane itself is started, see `kiteway.supervisor.children`.
        *(sys.executable, "-P", "-m", "kiteway.sources.decode_file", str(path), str(nice)),
        stdin=PIPE,
        stdout=PIPE,
        stderr=DEVNULL,
    )
    try:
        async with asyncio.timeout(_LONGEST_SECONDS):
            output, _ = await process.communicate(text)
            if process.returncode:
                raise OSError(f"exit status {process.returncode}")
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    with collect_later():
        loaded: Loaded = await asyncio.to_thread(pickle.loads, output)
    return loaded
