"""The file of a self-signed certificate that `kiteway up -f` names in its snippet."""

from __future__ import annotations

import asyncio
import datetime as dt
import ssl
from pathlib import Path

import msgspec
from cryptography import x509

from kiteway.certificates.describe import describe
from kiteway.cli.trusted import own_file, self_signed_file
from kiteway.instance import Instance
from kiteway.model import HTTPMode, ListenerProtocol
from kiteway.probe import Endpoint
from kiteway.report.certificates import ServedCertificate
from kiteway.report.routing import HostReport, ListenerReport
from kiteway.report.status import State, Status
from tests.unit.probe_servers import HOST, Authority, self_signed, tls_server


def _status(port: int, chain: bytes) -> Status:
    facts = describe("c", x509.load_pem_x509_certificates(chain), dt.datetime.now(dt.UTC))
    served = ServedCertificate(**msgspec.structs.asdict(facts), source="", served_for=(HOST,), temporary=False)
    return Status(
        version="1",
        state=State.READY,
        ready=True,
        listeners=(ListenerReport(ListenerProtocol.HTTPS, "127.0.0.1", port),),
        hosts=(HostReport(HOST, "default/a", https=True, http=HTTPMode.OFF, routes=()),),
        certificates=(served,),
    )


def _given(tmp_path: Path, context: ssl.SSLContext, chain: bytes) -> Path | None:
    instance = Instance(tmp_path / "data")
    with instance.acquire(), tls_server(context) as port:
        return asyncio.run(self_signed_file(_status(port, chain), instance))


def test_a_self_signed_certificate_is_written_to_a_file(tmp_path: Path) -> None:
    """The file is what a client trusts: the certificate of the listener."""
    certificate, key = self_signed(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    file = _given(tmp_path, context, certificate.read_bytes())
    assert file == tmp_path / f"data/state/certificates/{HOST}.crt"
    assert x509.load_pem_x509_certificate(file.read_bytes()) == x509.load_pem_x509_certificate(certificate.read_bytes())


def test_only_the_certificate_of_the_status_is_written(tmp_path: Path) -> None:
    """What something else on that port shows is not to be trusted."""
    certificate, _ = self_signed(tmp_path)
    assert _given(tmp_path, Authority(tmp_path).context(), certificate.read_bytes()) is None


def test_the_file_of_a_certificate_that_kiteway_wrote_is_found(tmp_path: Path) -> None:
    """That of `up --to` and those of `up -f`; a server with another certificate has none."""
    instance = Instance(tmp_path / "data")
    certificate, key = self_signed(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    written = (instance.state_dir / "certificates/b.crt", instance.state_dir / "quickstart/tls.crt")

    def found(context: ssl.SSLContext) -> Path | None:
        with tls_server(context) as port:
            return asyncio.run(own_file(Endpoint("127.0.0.1", port), HOST, instance))

    assert found(context) is None
    for file in written:
        file.parent.mkdir(parents=True)
        file.write_bytes(certificate.read_bytes())
        assert found(context) == file
    assert found(Authority(tmp_path).context()) is None
