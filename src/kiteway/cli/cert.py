"""`kiteway cert`: create and show certificates."""

from __future__ import annotations

import base64
import sys
from pathlib import Path
from typing import Annotated

import typer
import yaml

from kiteway.certificates.create import (
    MAX_CA_DAYS,
    MAX_DAYS,
    KeyPair,
    create_authority,
    create_client,
    create_issued,
    create_self_signed,
)
from kiteway.cli import cert_renew, cert_show
from kiteway.cli.output import fail, stderr
from kiteway.files import write_atomic
from kiteway.model import PrivateKey
from kiteway.printable import suggested

app = typer.Typer(no_args_is_help=True, help="Create and show certificates.")

OutOption = Annotated[Path, typer.Option("--out", help="The folder for the certificate and its key (0600).")]
ForceOption = Annotated[bool, typer.Option("--force", help="Replace existing files.")]


@app.callback()
def _cert() -> None:
    """Create and show certificates."""


app.command("list", epilog=cert_show.LIST_EXAMPLES)(cert_show.list_)
app.command("show", epilog=cert_show.SHOW_EXAMPLES)(cert_show.show)
app.command("renew", epilog=cert_renew.RENEW_EXAMPLES)(cert_renew.renew)


@app.command(
    epilog=(
        "Examples:\n\n"
        "  kiteway cert create --host my-release.milvus.io\n\n"
        "  kiteway cert create --host milvus.example.com --ip 192.0.2.7 --out certs/\n\n"
        "  kiteway cert create --host milvus.example.com --ca ca/\n\n"
        "  kiteway cert create --client search-service --ca ca/ --out search-service/\n\n"
        "  kiteway cert create --host my-release.milvus.io --secret my-release-milvus-tls | kubectl apply -f -"
    )
)
def create(
    *,
    host: Annotated[list[str] | None, typer.Option("--host", help="A DNS name; may be repeated.")] = None,
    ip: Annotated[list[str] | None, typer.Option("--ip", help="An IP address; may be repeated.")] = None,
    client: Annotated[
        str | None,
        typer.Option("--client", metavar="NAME", help="The name in a client certificate; with --ca, without --host."),
    ] = None,
    ca: Annotated[
        Path | None,
        typer.Option("--ca", metavar="DIR", help="Sign with ca.crt and ca.key of this folder; self-signed without it."),
    ] = None,
    out: OutOption = Path(),
    secret: Annotated[
        str | None, typer.Option("--secret", help="Print a Kubernetes TLS Secret of this name instead.")
    ] = None,
    namespace: Annotated[str, typer.Option("--namespace", "-n", help="The Secret's namespace.")] = "default",
    days: Annotated[int, typer.Option("--days", help="Validity in days.", min=1, max=MAX_DAYS)] = MAX_DAYS,
    key_type: Annotated[str, typer.Option("--key-type", help="ECDSA (P-256) or RSA (2048).")] = "ECDSA",
    force: ForceOption = False,
) -> None:
    """
    Create a certificate with its names in the subjectAltName, self-signed or by a CA of your own.

    This replaces the guide's openssl recipe, which sets no SAN: Go's TLS and browsers refuse such a certificate.
    """
    if client is not None and (host or ip or ca is None):
        raise fail("--client goes with --ca, and without --host and --ip", 2)
    try:
        authority = _read_authority(ca) if ca is not None else None
        kind = key_type.upper()
        if authority is None:
            pair = create_self_signed(host or [], ip or [], days=days, key_type=kind)
        elif client is not None:
            pair = create_client(authority, client, days=days, key_type=kind)
        else:
            pair = create_issued(authority, host or [], ip or [], days=days, key_type=kind)
    except ValueError as error:
        raise fail(str(error), 2) from error
    if secret is None:
        _write(pair, out, "tls", force=force)
        return
    values = {"tls.crt": pair.certificate, "tls.key": pair.key.reveal()}
    if authority is not None:
        values["ca.crt"] = authority.certificate
    document = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": secret, "namespace": namespace},
        "type": "kubernetes.io/tls",
        "data": {name: base64.b64encode(value).decode() for name, value in values.items()},
    }
    yaml.safe_dump(document, sys.stdout, sort_keys=False)


@app.command(
    epilog=(
        "Examples:\n\n"
        "  kiteway cert create-ca --out ca/\n\n"
        "  kiteway cert create-ca --out ca/ --name 'Milvus at Example Inc.'"
    )
)
def create_ca(
    *,
    out: OutOption = Path(),
    name: Annotated[str, typer.Option("--name", help="The CA's common name.")] = "Kiteway CA",
    days: Annotated[int, typer.Option("--days", help="Validity in days.", min=1, max=MAX_CA_DAYS)] = 3650,
    force: ForceOption = False,
) -> None:
    """
    Create a CA of your own. Clients trust ca.crt once; you can then replace certificates without changing clients.

    Keep ca.key on a machine that serves nothing: with it an attacker can pose as any server to your clients.
    """
    try:
        pair = create_authority(name, days=days)
    except ValueError as error:
        raise fail(str(error), 2) from error
    _write(pair, out, "ca", force=force)


def _read_authority(folder: Path) -> KeyPair:
    certificate, key = folder / "ca.crt", folder / "ca.key"
    try:
        return KeyPair(certificate.read_bytes(), PrivateKey(key.read_bytes()))
    except OSError as error:
        raise fail(
            f"cannot read {error.filename}: {error.strerror}; "
            f"make a CA with {suggested('kiteway', 'cert', 'create-ca', '--out', str(folder))}",
            2,
        ) from error


def _write(pair: KeyPair, folder: Path, name: str, *, force: bool) -> None:
    certificate, key = folder / f"{name}.crt", folder / f"{name}.key"
    taken = [str(path) for path in (certificate, key) if path.exists()]
    if taken and not force:
        raise fail(f"{' and '.join(taken)} exist; give --force to replace, or --out another folder", 2)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_atomic(key, pair.key.reveal(), 0o600)
        write_atomic(certificate, pair.certificate)
    except OSError as error:
        raise fail(f"cannot write to {folder}: {error.strerror}") from error
    stderr.print(f"wrote {certificate} and {key}")
