"""Certificates in files (``--tls``), presented as Secrets and read again when they change."""

from __future__ import annotations

import base64
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from kiteway.certificates.x509 import CertificateError, inspect
from kiteway.diagnostics import Diagnostic, ObjectRef, Severity
from kiteway.resources import Ingress, Object, load_object
from kiteway.sources.files import SourceContent
from kiteway.sources.watch import watch

_MOST_BYTES = 1 << 20
"""The most bytes of a file: what a Secret may hold."""
_MOST_LINKS = 40
"""The most symbolic links on a path, as on Linux."""


class CertificateFiles(msgspec.Struct, frozen=True):
    """
    A certificate and its key in files, presented as a TLS Secret.

    Attributes:
        namespace: the Secret's.
        secret: the Secret's name, as Ingresses name it in ``spec.tls``.
        certificate: the file with the chain, PEM.
        key: the file with the key, PEM.
    """

    namespace: str
    secret: str
    certificate: str
    key: str

    @property
    def ref(self) -> ObjectRef:
        """The Secret as which the files are presented."""
        return ObjectRef("Secret", self.namespace, self.secret)

    def __str__(self) -> str:
        return f"{self.certificate} and {self.key}"


@dataclass(slots=True)
class CertificateFileSource:
    """
    Reads pairs of certificate and key files.

    Two files cannot be replaced at the same instant, and one may be read half-written: while certificate and key do not
    match, the last matching pair is served.
    """

    files: tuple[CertificateFiles, ...]
    _good: dict[CertificateFiles, Object] = field(default_factory=dict)

    def add_to(self, resources: SourceContent) -> SourceContent:
        """Return ``resources`` with the Secrets of the files; they replace Secrets of the same name."""
        if not self.files:
            return resources
        objects = {object_.ref: object_ for object_ in resources.objects}
        failed = [ref for ref in resources.failed if ref not in {files.ref for files in self.files}]
        problems = list(resources.diagnostics)
        for files in self.files:
            problem = self._read(files)
            if files in self._good:
                objects[files.ref] = self._good[files]
            else:
                objects.pop(files.ref, None)
                failed.append(files.ref)
            if problem is not None:
                problems.append(problem)
            if not any(_names(object_, files) for object_ in resources.objects):
                problems.append(_unused(files))
        return SourceContent(tuple(objects.values()), tuple(problems), tuple(failed))

    def _read(self, files: CertificateFiles) -> Diagnostic | None:
        try:
            chain, key = _content(files.certificate), _content(files.key)
            inspect(chain, key)
        except OSError as error:
            return self._problem(files, "FileUnreadable", f"{error.filename} cannot be read: {error.strerror}.")
        except CertificateError as error:
            return self._problem(files, error.reason, f"{files}: {error.message}", error.fix)
        self._good[files] = _secret(files, chain, key)
        return None

    def _problem(self, files: CertificateFiles, reason: str, message: str, fix: str = "") -> Diagnostic:
        if files not in self._good:
            return Diagnostic(Severity.ERROR, reason, message, fix, files.ref)
        return Diagnostic(
            Severity.WARNING, reason, f"{message} The last pair that fitted is served on.", fix, files.ref
        )

    async def changes(self) -> AsyncIterator[None]:
        """Yield when one of the files may have changed; never ends."""
        async for _ in watch(self._folders, self._matters):
            yield

    def _matters(self, path: Path) -> bool:
        """Return whether a change of ``path`` can change a certificate: another file in its folder, such as a log, cannot."""
        if path.is_symlink() or not path.is_file():
            return True
        named = (name for files in self.files for name in (files.certificate, files.key))
        return any(path.name in {Path(name).name, Path(name).resolve().name} for name in named)

    def _folders(self) -> frozenset[Path]:
        return frozenset(
            folder for files in self.files for name in (files.certificate, files.key) for folder in watched(Path(name))
        )


def watched(file: Path) -> set[Path]:
    """
    Return the folders in which something changes when ``file`` does.

    That is its own folder, and that of every symbolic link on the way: Kubernetes mounts a Secret as
    ``tls.crt -> ..data/tls.crt`` and ``..data -> ..2026_01_01``, and replaces ``..data`` alone; certbot replaces
    ``live/NAME/privkey.pem -> ../../archive/NAME/privkey1.pem``.
    """
    found: set[Path] = set()
    rest = list(Path(os.path.abspath(file)).parts[1:])  # noqa: PTH100 - resolve() would follow the links
    here, links = Path(file.absolute().anchor), 0
    while rest:
        there = here / rest.pop(0)
        if there.is_symlink() and links < _MOST_LINKS:
            links += 1
            found.add(here)
            target = Path(os.path.normpath(here / there.readlink()))
            rest = [*target.parts[1:], *rest]
            here = Path(target.anchor)
        elif rest and not there.is_dir():
            break
        elif rest:
            here = there
    return {*found, here}


def _content(file: str) -> bytes:
    with Path(file).open("rb") as stream:
        return stream.read(_MOST_BYTES)


def _secret(files: CertificateFiles, chain: bytes, key: bytes) -> Object:
    values = {"tls.crt": chain, "tls.key": key}
    loaded = load_object(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": files.secret, "namespace": files.namespace},
            "type": "kubernetes.io/tls",
            "data": {name: base64.b64encode(value).decode() for name, value in values.items()},
        }
    )
    return loaded.objects[0]


def _names(object_: Object, files: CertificateFiles) -> bool:
    return (
        isinstance(object_, Ingress)
        and object_.ref.namespace == files.namespace
        and any(tls.secret_name == files.secret for tls in object_.spec.tls)
    )


def _unused(files: CertificateFiles) -> Diagnostic:
    return Diagnostic(
        Severity.WARNING,
        "CertificateFilesUnused",
        f"{files} are given for the Secret, which no Ingress names, so they are not served.",
        f"Name it in an Ingress: spec.tls[].secretName: {files.secret}.",
        files.ref,
    )
