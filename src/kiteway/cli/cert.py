"""`kiteway cert`: certificates."""

from __future__ import annotations

import base64
import sys
from pathlib import Path
from typing import Annotated

import typer
import yaml

from kiteway.certificates.create import MAX_DAYS, create_self_signed
from kiteway.cli.output import fail, stderr
from kiteway.files import write_atomic

app = typer.Typer(no_args_is_help=True, help="Create and look at certificates.")


@app.callback()
def _cert() -> None:
    """Create and look at certificates."""


@app.command(
    epilog=(
        "Examples:\n\n"
        "  kiteway cert create --host my-release.milvus.io\n\n"
        "  kiteway cert create --host milvus.example.com --ip 192.0.2.7 --out certs/\n\n"
        "  kiteway cert create --host my-release.milvus.io --secret my-release-milvus-tls | kubectl apply -f -"
    )
)
def create(
    *,
    host: Annotated[list[str] | None, typer.Option("--host", help="A DNS name; may be repeated.")] = None,
    ip: Annotated[list[str] | None, typer.Option("--ip", help="An IP address; may be repeated.")] = None,
    out: Annotated[Path, typer.Option("--out", help="The folder for tls.crt and tls.key (0600).")] = Path(),
    secret: Annotated[
        str | None, typer.Option("--secret", help="Print a Kubernetes TLS Secret of this name instead.")
    ] = None,
    namespace: Annotated[str, typer.Option("--namespace", "-n", help="The Secret's namespace.")] = "default",
    days: Annotated[int, typer.Option("--days", help="Validity in days.", min=1, max=MAX_DAYS)] = MAX_DAYS,
    key_type: Annotated[str, typer.Option("--key-type", help="ECDSA (P-256) or RSA (2048).")] = "ECDSA",
    force: Annotated[bool, typer.Option("--force", help="Replace files that are there.")] = False,
) -> None:
    """
    Create a self-signed certificate with its names in the subjectAltName.

    This is the guide's openssl recipe with what it forgets: without a SAN every client but PyMilvus refuses it.
    """
    try:
        pair = create_self_signed(host or [], ip or [], days=days, key_type=key_type.upper())
    except ValueError as error:
        raise fail(str(error), 2) from error
    if secret is not None:
        document = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": secret, "namespace": namespace},
            "type": "kubernetes.io/tls",
            "data": {
                "tls.crt": base64.b64encode(pair.certificate).decode(),
                "tls.key": base64.b64encode(pair.key.reveal()).decode(),
            },
        }
        yaml.safe_dump(document, sys.stdout, sort_keys=False)
        return
    certificate, key = out / "tls.crt", out / "tls.key"
    taken = [str(path) for path in (certificate, key) if path.exists()]
    if taken and not force:
        raise fail(f"{' and '.join(taken)} exist; give --force to replace, or --out another folder", 2)
    try:
        out.mkdir(parents=True, exist_ok=True)
        write_atomic(key, pair.key.reveal(), 0o600)
        write_atomic(certificate, pair.certificate)
    except OSError as error:
        raise fail(f"cannot write to {out}: {error.strerror}") from error
    stderr.print(f"wrote {certificate} and {key}")
