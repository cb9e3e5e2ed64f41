"""Manifests in files and folders, read again when they change."""

from __future__ import annotations

import contextlib
import hashlib
import stat
import sys
import time
from collections.abc import AsyncIterator, Callable, Container, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from kiteway.diagnostics import Diagnostic, ObjectRef, Severity
from kiteway.linked import open_linked
from kiteway.resources import DEFAULT, Loaded, Object, load_documents
from kiteway.sources.folders import BadNameError, is_file, is_folder, is_manifest, listing, not_read, too_many
from kiteway.sources.nothing import why_nothing
from kiteway.sources.watch import watch

LARGE_BYTES: Final = 128 << 10
"""A longer file takes a tenth of a second or more to decode."""
_SETTLED_SECONDS = 2.0
"""Seconds after a file's last change from which on its size and times are trusted to show the next one."""
_RETRY_SECONDS: Final = 5.0
"""
Seconds before a large file whose decoding failed is decoded again, the first time; each pause doubles. A folder that cannot be
read is read again each time after these seconds.
"""
_RETRY_LONGEST_SECONDS: Final = 300.0
STANDARD_INPUT = Path("-")
"""``-f -``, as in kubectl; it can be read only once."""


class _State(NamedTuple):
    """What shows a change of a file; times in nanoseconds."""

    device: int
    inode: int
    size: int
    modified: int
    changed: int


@dataclass(frozen=True, slots=True)
class SourceContent:
    """
    The content of the sources at one moment.

    Attributes:
        objects: readable objects; of two with one identity the later.
        diagnostics: what is wrong with what was read.
        failed: objects that exist but have errors.
        texts: how often the text of a file has changed, which its objects do not always show; 0 for other sources.
    """

    objects: tuple[Object, ...]
    diagnostics: tuple[Diagnostic, ...]
    failed: tuple[ObjectRef, ...]
    texts: int = 0


@dataclass(frozen=True, slots=True)
class Decoded:
    """
    The content of a file.

    Attributes:
        text: what was decoded.
        loaded: objects and diagnostics.
        failed: whether decoding failed for a reason outside the file, so that it can succeed later.
    """

    text: bytes
    loaded: Loaded
    failed: bool = False


class LargeFiles(Protocol):
    """Decodes large files, while the others are read on."""

    def decoded(self, path: Path, text: bytes) -> Decoded | None:
        """Return the content of a file, or one that it had shortly before; None while it is being decoded."""

    def waits(self, path: Path) -> bool:
        """Return whether a file that `decoded` was called with is still to be decoded."""


@dataclass(slots=True)
class FileSource:
    """
    Reads paths as ``kubectl apply -f`` does: files, and folders; their subfolders only if ``recursive``.

    The last objects of a file stay in force while the file is not readable as YAML, and, for a file of more than
    `LARGE_BYTES`, while ``large`` decodes it.
    """

    paths: tuple[Path, ...]
    extra: tuple[Object, ...] = ()
    recursive: bool = False
    without: frozenset[Path] = frozenset()
    """Files that are no manifests, although they lie in one of the folders or are one of the paths."""
    large: LargeFiles | None = None
    regular_only: bool = False
    """
    Whether pipes and devices are refused, because a control plane that waits for one applies no other change meanwhile; and links
    that another user made to what is not that user's, see `open_linked`.
    """
    keep_texts: bool = False
    """Whether `texts` has the content of the files, too; a control plane does not keep it."""
    clock: Callable[[], float] = time.monotonic
    """Returns seconds, for the pauses before a large file is decoded again."""
    _texts: dict[Path, bytes] = field(default_factory=dict)
    _known: dict[Path, _File] = field(default_factory=dict)
    _pending: dict[Path, _State | None] = field(default_factory=dict)
    _has_unreadable: bool = False
    _changes: int = 0

    def read(self) -> SourceContent:
        """Read everything. Never raises for what a user wrote or removed."""
        problems: list[Diagnostic] = []
        paths, refused = self._files(problems)
        files = {path: self._file_at(path, problems) for path in paths}
        self._has_unreadable = any(not isinstance(error, BadNameError) for error in refused.values())
        files |= {path: file for path, file in self._known.items() if not refused.keys().isdisjoint(path.parents)}
        before, self._known = self._known, {path: file for path, file in files.items() if file is not None}
        self._changes += _digests(before) != _digests(self._known)
        self._pending = {path: state for path, state in self._pending.items() if path in files}
        found = {path: file.loaded for path, file in self._known.items()}
        combined = replace(_combine(self.extra, found, problems), texts=self._changes)
        found_nothing = why_nothing(self.paths, found.values(), combined.diagnostics)
        if found_nothing is not None and not (combined.objects or combined.failed):
            combined = replace(combined, diagnostics=(*combined.diagnostics, found_nothing))
        unread = None if self.recursive else not_read(self.paths)
        return combined if unread is None else replace(combined, diagnostics=(*combined.diagnostics, unread))

    def _file_at(self, path: Path, problems: list[Diagnostic]) -> _File | None:
        """Return a file: read, or as it was before; None for one that was never decoded."""
        before = self._known.get(path)
        if path == STANDARD_INPUT and before is not None:
            return before
        try:
            state = _state(path)
            stamp = _settled(state)
            unchanged = before is not None and stamp is not None and before.stamp == stamp
            if unchanged or self._is_pending(path, state):
                return before
            text = _read(path, regular_only=self.regular_only)
        except OSError as error:
            problems.append(_unreadable(path, error))
            return before
        if self.keep_texts:
            self._texts[path] = text
        digest = hashlib.blake2b(text).digest()
        if before is not None and before.digest == digest and not before.due(self.clock()):
            return before if before.retry is not None else _File(digest, stamp, before.loaded)
        now = self._decoded(path, text)
        if now is None:
            self._pending[path] = state
            return before
        if now.text != text:
            digest, stamp = hashlib.blake2b(now.text).digest(), None
        return _file(digest, stamp, now, before, self.clock())

    def _decoded(self, path: Path, text: bytes) -> Decoded | None:
        if self.large is not None and len(text) > LARGE_BYTES and path != STANDARD_INPUT:
            return self.large.decoded(path, text)
        return Decoded(text, load_documents(text, str(path)))

    def _is_pending(self, path: Path, state: _State | None) -> bool:
        """
        Return whether a file is being decoded and looks as it did when it was read; it is not read again before that ends.

        A change that a coarse file system clock hides is found when the decoded text is compared with the file.
        """
        if path not in self._pending:
            return False
        if self.large is not None and self.large.waits(path) and self._pending[path] == state:
            return True
        del self._pending[path]
        return False

    def _files(self, problems: list[Diagnostic]) -> tuple[list[Path], dict[Path, OSError]]:
        """Return the files, and what cannot be read: folders, and what cannot be read because of its name."""
        files: list[Path] = []
        unreadable: dict[Path, OSError] = {}
        for path in self.paths:
            try:
                if path == STANDARD_INPUT or path in self._known or not stat.S_ISDIR(path.stat().st_mode):
                    files.append(path)
                    continue
                found = listing(path, recursive=self.recursive)
            except FileNotFoundError as error:
                problems.append(_unreadable(path, error))
            except OSError as error:
                unreadable[path] = error
            else:
                files += found.manifests
                unreadable |= found.unreadable
                problems += map(too_many, sorted(found.cut))
        problems += [_unreadable(folder, error) for folder, error in unreadable.items()]
        return [file for file in files if file not in self.without], unreadable

    def retry_seconds(self) -> float | None:
        """Return the seconds until something is to be read again although it has not changed; None for nothing."""
        waits = [max(0.0, file.retry.at - self.clock()) for file in self._known.values() if file.retry is not None]
        if self._has_unreadable:
            # The change that makes it readable may be in a folder that is not watched.
            waits.append(_RETRY_SECONDS)
        return min(waits, default=None)

    def texts(self) -> dict[Path, bytes]:
        """Return the files as they were last read; none without ``keep_texts``."""
        return dict(self._texts)

    def changes(self) -> AsyncIterator[None]:
        """
        Return an iterator that yields when something under the paths may have changed; it never ends.

        Folders are watched, not files: an editor's rename and Kubernetes' symlink swap replace the file itself.
        """
        names = frozenset(path.name for path in self.paths)
        return watch(self._folders, lambda path: _matters(path, names))

    def _folders(self) -> frozenset[Path]:
        """Return the folders in which something changes when a manifest does."""
        found: set[Path] = set()
        for path in self.paths:
            if not is_folder(path):
                found |= {path.parent} if path != STANDARD_INPUT else set()
                continue
            found.add(path)
            if self.recursive:
                with contextlib.suppress(OSError):
                    found.update(listing(path, recursive=True).folders)
        return frozenset(found)


def _matters(path: Path, names: Container[str]) -> bool:
    """
    Return whether a change of ``path`` can change what is read; ``names`` are those of files that are read by name.

    Of a file that has gone, of folders and of links to them it is not known. Another file, such as a log that this process
    itself writes, is not read.
    """
    return path.name in names or is_manifest(path.name) or not is_file(path)


@dataclass(frozen=True, slots=True)
class _File:
    """The content of a file when it was read, and what shows whether it has changed since."""

    digest: bytes
    stamp: _State | None
    loaded: Loaded
    retry: _Retry | None = None

    def due(self, now: float) -> bool:
        """Return whether decoding failed, and is to be tried again."""
        return self.retry is not None and now >= self.retry.at


@dataclass(frozen=True, slots=True)
class _Retry:
    """When a file whose decoding failed is decoded again, in seconds of the source's clock, and the pause before."""

    at: float
    pause: float


def _digests(files: Mapping[Path, _File]) -> dict[Path, bytes]:
    return {path: file.digest for path, file in files.items()}


def _file(digest: bytes, stamp: _State | None, found: Decoded, before: _File | None, now: float) -> _File:
    loaded = _keep(found.loaded, before.loaded if before else None)
    if not found.failed:
        return _File(digest, stamp, loaded)
    last = before.retry if before is not None else None
    pause = min(2 * last.pause, _RETRY_LONGEST_SECONDS) if last is not None else _RETRY_SECONDS
    # Without a stamp: an unchanged file is looked at again.
    return _File(digest, None, loaded, _Retry(now + pause, pause))


def _state(path: Path) -> _State | None:
    """Return what changes with the file; None for standard input."""
    if path == STANDARD_INPUT:
        return None
    found = path.stat()
    return _State(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def _settled(state: _State | None) -> _State | None:
    """Return the state; None while a coarse file system clock may hide a change."""
    return state if state is not None and time.time() - state.changed / 1e9 > _SETTLED_SECONDS else None


def _read(path: Path, *, regular_only: bool) -> bytes:
    """Read one byte more than may be parsed, so that a huge file is refused without reading all of it."""
    if path == STANDARD_INPUT:
        return sys.stdin.buffer.read(DEFAULT.size + 1)
    with open(path, "rb", opener=open_linked if regular_only else None) as file:
        return file.read(DEFAULT.size + 1)


def _keep(now: Loaded, before: Loaded | None) -> Loaded:
    """Return ``now``; if a document is unreadable, with the objects that the file had before."""
    lost = any(d.severity is Severity.ERROR and d.object is None for d in now.diagnostics)
    if before is None or not lost:
        return now
    present = {o.ref for o in now.objects} | set(now.refused)
    kept = tuple(o for o in before.objects if o.ref not in present)
    return Loaded((*now.objects, *kept), now.diagnostics, now.refused, now.ignored)


def _unreadable(path: Path, error: OSError) -> Diagnostic:
    fix = "Rename it." if isinstance(error, BadNameError) else "Check the path given with -f."
    return Diagnostic(Severity.ERROR, "FileUnreadable", f"{path} cannot be read: {error.strerror or error}.", fix)


def _combine(extra: tuple[Object, ...], loaded: Mapping[Path, Loaded], problems: list[Diagnostic]) -> SourceContent:
    objects: dict[ObjectRef, Object] = {o.ref: o for o in extra}
    failed: list[ObjectRef] = []
    for found in loaded.values():
        problems += found.diagnostics
        failed += found.refused
        for object_ in found.objects:
            other = objects.get(object_.ref)
            if other is not None:
                where = f" at {other.at()}" if other.at() else ""
                problems.append(
                    object_.diagnostic(
                        Severity.WARNING,
                        "ObjectTwice",
                        f"the object is also given{where}; this one, the later, is used.",
                        "Remove one of the two.",
                    )
                )
            objects[object_.ref] = object_
    return SourceContent(tuple(objects.values()), tuple(problems), tuple(failed))
