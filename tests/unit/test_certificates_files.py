"""Certificates in files: when they are used, and which folders are watched."""

from __future__ import annotations

from pathlib import Path

import pytest

from kiteway.cli.values import parse_certificate_files
from kiteway.diagnostics import Severity
from kiteway.resources import Secret, load_documents
from kiteway.sources.certificate_files import CertificateFiles, CertificateFileSource, watched
from kiteway.sources.files import SourceContent
from tests.support.certificates import Issued, issue
from tests.support.ingresses import ingress, secret, service, text

HOST = "a.example.com"


def _files(folder: Path) -> CertificateFiles:
    return CertificateFiles("default", "tls", str(folder / "tls.crt"), str(folder / "tls.key"))


def _write(folder: Path, issued: Issued) -> None:
    (folder / "tls.crt").write_bytes(issued.crt)
    (folder / "tls.key").write_bytes(issued.pem)


def _resources(*more: Issued) -> SourceContent:
    documents = [service(), ingress("i", [HOST], ["tls"]), *(secret("tls", issued) for issued in more)]
    loaded = load_documents(text(*documents), "test.yaml")
    return SourceContent(loaded.objects, loaded.diagnostics, loaded.refused)


def _served(resources: SourceContent) -> list[bytes]:
    return [bytes(o.values["tls.crt"]) for o in resources.objects if isinstance(o, Secret)]


def test_files_stand_for_the_secret(tmp_path: Path) -> None:
    """The pair in files replaces the Secret of this name, also if the manifests have another one."""
    issued = issue(HOST)
    _write(tmp_path, issued)
    source = CertificateFileSource((_files(tmp_path),))

    for resources in (_resources(), _resources(issue(HOST))):
        found = source.add_to(resources)

        assert _served(found) == [issued.crt]
        assert not [d for d in found.diagnostics if d.severity is not Severity.NOTE]


def test_a_pair_that_does_not_fit_is_not_taken(tmp_path: Path) -> None:
    """While only one file is written, or one is incomplete, the last matching pair is served."""
    old, new = issue(HOST), issue(HOST)
    _write(tmp_path, old)
    source = CertificateFileSource((_files(tmp_path),))
    source.add_to(_resources())
    for name, content, reason in (
        ("tls.crt", new.crt, "CertificateKeyMismatch"),
        ("tls.crt", new.crt[:150], "CertificateUnreadable"),
        ("tls.crt", b"", "CertificateUnreadable"),
        ("tls.key", new.pem[:60], "CertificateKeyUnreadable"),
    ):
        _write(tmp_path, old)
        (tmp_path / name).write_bytes(content)
        found = source.add_to(_resources())

        assert _served(found) == [old.crt]
        assert [(d.reason, d.severity) for d in found.diagnostics] == [(reason, Severity.WARNING)]
        assert "last pair that fitted" in found.diagnostics[0].message
    _write(tmp_path, new)

    assert _served(source.add_to(_resources())) == [new.crt]


def test_a_file_that_goes_away_takes_nothing_down(tmp_path: Path) -> None:
    """If a file is removed, the last good pair is served, and the diagnostic names the file."""
    issued = issue(HOST)
    _write(tmp_path, issued)
    source = CertificateFileSource((_files(tmp_path),))
    source.add_to(_resources())
    (tmp_path / "tls.key").unlink()

    found = source.add_to(_resources())

    assert _served(found) == [issued.crt]
    assert "tls.key" in found.diagnostics[0].message


def test_a_pair_that_never_fitted_is_an_error(tmp_path: Path) -> None:
    """Without a good pair there is no Secret, and the error says what is wrong."""
    _write(tmp_path, issue(HOST))
    (tmp_path / "tls.key").write_bytes(issue(HOST).pem)

    found = CertificateFileSource((_files(tmp_path),)).add_to(_resources())

    assert _served(found) == []
    assert [(d.reason, d.severity) for d in found.diagnostics] == [("CertificateKeyMismatch", Severity.ERROR)]
    assert _files(tmp_path).ref in found.failed


def test_files_that_no_ingress_names_are_reported(tmp_path: Path) -> None:
    """A pair for a Secret that no Ingress names is not served, and there is a diagnostic."""
    _write(tmp_path, issue(HOST))
    files = CertificateFiles("default", "typo", str(tmp_path / "tls.crt"), str(tmp_path / "tls.key"))

    found = CertificateFileSource((files,)).add_to(_resources())

    assert "CertificateFilesUnused" in {d.reason for d in found.diagnostics}


def test_every_folder_on_the_way_is_watched(tmp_path: Path) -> None:
    """The folder of the file and that of each symbolic link to it are watched: Kubernetes' mounts, certbot's links."""
    real = tmp_path.resolve()
    mount, archive, live = real / "mount", real / "archive", real / "live"
    for folder in (mount / "..2026", archive, live):
        folder.mkdir(parents=True)
    (mount / "..2026" / "tls.crt").touch()
    (mount / "..data").symlink_to("..2026")
    (mount / "tls.crt").symlink_to("..data/tls.crt")
    (archive / "fullchain1.pem").touch()
    (live / "fullchain.pem").symlink_to("../archive/fullchain1.pem")
    (real / "current").symlink_to("live")

    assert watched(mount / "tls.crt") == {mount, mount / "..2026"}
    assert watched(live / "fullchain.pem") == {live, archive}
    assert watched(real / "current" / "fullchain.pem") == {real, live, archive}
    assert watched(real / "gone" / "tls.crt") == {real}


def test_a_loop_of_links_ends(tmp_path: Path) -> None:
    """A loop of links is an error."""
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")

    assert tmp_path.resolve() in watched(tmp_path.resolve() / "a")


def test_the_option_is_read(tmp_path: Path) -> None:
    """A Secret with and without namespace, or none with --to; a missing file and a missing part are errors."""
    certificate, key = tmp_path / "tls.crt", tmp_path / "tls.key"
    certificate.touch()
    key.touch()
    pair = f"{certificate},{key}"

    assert parse_certificate_files(f"prod/tls={pair}", None).ref.namespace == "prod"
    assert parse_certificate_files(f"tls={pair}", None).ref.namespace == "default"
    assert parse_certificate_files(pair, "milvus-tls").secret == "milvus-tls"
    for bad in (pair, f"tls={certificate}", f"tls={certificate},", f"tls={certificate},{key}x"):
        with pytest.raises(ValueError, match=r"tls"):
            parse_certificate_files(bad, None)


def test_another_file_in_the_folder_is_no_change(tmp_path: Path) -> None:
    """Such as a log to which `kiteway up` itself writes that it has loaded a change; what a link leads to is one."""
    (tmp_path / "archive").mkdir()
    for name in ("up.log", "tls.key", "archive/privkey1.pem", "archive/up.log"):
        (tmp_path / name).write_text("")
    (tmp_path / "tls.crt").symlink_to("archive/privkey1.pem")
    source = CertificateFileSource((_files(tmp_path),))

    names = ("tls.crt", "tls.key", "archive/privkey1.pem", "archive", "gone", "up.log", "archive/up.log")
    assert [name for name in names if not source._matters(tmp_path / name)] == ["up.log", "archive/up.log"]
