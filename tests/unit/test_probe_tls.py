"""The TLS probe distinguishes the ways in which a handshake fails."""

from __future__ import annotations

import datetime as dt
import ssl
from pathlib import Path

import grpc
import pytest

from kiteway.probe import Endpoint, Reason, TlsOptions, TrustFileError
from kiteway.probe.tls import probe_tls
from kiteway.probe.trust import grpc_default_roots
from tests.unit.probe_servers import (
    GET_VERSION,
    HOST,
    VERSION_ANSWER,
    Authority,
    grpc_server,
    hang_up,
    http1,
    self_signed,
    serving,
    silence,
    tls_server,
)

pytestmark = pytest.mark.anyio

NOW = dt.datetime.now(dt.UTC)
DAY = dt.timedelta(days=1)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """Return a CA of the test's own."""
    return Authority(tmp_path)


def at(port: int) -> Endpoint:
    """The server of the name, reached on loopback."""
    return Endpoint(HOST, port, connect_to="127.0.0.1")


async def test_a_good_handshake_reports_its_facts(authority: Authority) -> None:
    """A trusted certificate for the right name: version, ALPN, chain and names, and no failure."""
    async with serving(silence, authority.context(HOST, "10.1.2.3")) as port:
        seen = await probe_tls(at(port), TlsOptions(ca=authority.ca_file))
    assert seen.failure is None
    assert (seen.version, seen.alpn) == ("TLSv1.3", "h2")
    assert seen.server_names == (HOST, "10.1.2.3")
    assert seen.chain[0].not_after > NOW


async def test_an_ip_address_is_matched_against_ip_names(authority: Authority) -> None:
    """A host that is an address matches the certificate's IP names, not its DNS names."""
    options = TlsOptions(ca=authority.ca_file)
    async with serving(silence, authority.context("127.0.0.1")) as port:
        assert (await probe_tls(Endpoint("127.0.0.1", port), options)).failure is None
    async with serving(silence, authority.context(HOST)) as port:
        seen = await probe_tls(Endpoint("127.0.0.1", port), options)
    assert seen.failure is not None
    assert seen.failure.reason is Reason.NAME_MISMATCH


async def test_a_wrong_name_is_reported_with_the_names_there_are(authority: Authority) -> None:
    """A name mismatch says which names the certificate has."""
    async with serving(silence, authority.context("other.example", "10.0.0.7")) as port:
        seen = await probe_tls(at(port), TlsOptions(ca=authority.ca_file))
    assert seen.failure is not None
    assert seen.failure.reason is Reason.NAME_MISMATCH
    assert seen.failure.detail == f"the certificate is not for {HOST}: it is for other.example, 10.0.0.7"


async def test_the_server_name_overrides_the_host(authority: Authority) -> None:
    """With a server name the certificate must be for it, whatever the host is."""
    async with serving(silence, authority.context("other.example")) as port:
        options = TlsOptions(ca=authority.ca_file, server_name="other.example")
        assert (await probe_tls(Endpoint("127.0.0.1", port), options)).failure is None


async def test_an_unknown_ca_is_not_trusted(authority: Authority) -> None:
    """A certificate of a CA that is not in the trusted file is refused, and still part of the result."""
    async with serving(silence, authority.context()) as port:
        seen = await probe_tls(at(port), TlsOptions(ca=grpc_default_roots()))
    assert seen.failure is not None
    assert seen.failure.reason is Reason.UNKNOWN_CA
    assert seen.server_names == (HOST,)


async def test_self_signed_and_unknown_ca_are_distinguished(tmp_path: Path) -> None:
    """A self-signed certificate has its own reason, and is trusted if its own file is given."""
    certificate, key = self_signed(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    async with serving(silence, context) as port:
        seen = await probe_tls(at(port), TlsOptions(ca=grpc_default_roots()))
        trusted = await probe_tls(at(port), TlsOptions(ca=certificate))
    assert seen.failure is not None
    assert seen.failure.reason is Reason.SELF_SIGNED
    assert seen.chain[0].self_signed
    assert trusted.failure is None


async def test_the_guides_certificate_without_san_matches_by_its_common_name(tmp_path: Path) -> None:
    """The probe accepts a certificate with only a common name, as the guide makes it, because gRPC's client does."""
    certificate, key = self_signed(tmp_path, names=())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    async with serving(silence, context) as port:
        seen = await probe_tls(at(port), TlsOptions(ca=certificate))
    assert seen.failure is None
    assert seen.server_names == (HOST,)


async def test_the_trusted_file_may_be_the_server_s_own_certificate(authority: Authority, tmp_path: Path) -> None:
    """A leaf in the trusted file is an anchor though it is no CA, as for gRPC's client."""
    credentials = authority.grpc_credentials()
    with grpc_server({GET_VERSION: VERSION_ANSWER}, credentials) as port:
        seen = await probe_tls(at(port), TlsOptions(ca=authority.ca_file))
        leaf = ssl.get_server_certificate(("127.0.0.1", port))
        own = tmp_path / "tls.crt"
        own.write_text(leaf)
        trusted = await probe_tls(at(port), TlsOptions(ca=own))
        with grpc.secure_channel(
            f"127.0.0.1:{port}",
            grpc.ssl_channel_credentials(leaf.encode()),
            options=[("grpc.ssl_target_name_override", HOST)],
        ) as channel:
            get_version: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(GET_VERSION)
            answer = get_version(b"", timeout=5)
    assert not seen.chain[0].self_signed
    assert trusted.failure is None
    assert answer == VERSION_ANSWER


@pytest.mark.parametrize(
    ("not_before", "not_after", "reason"),
    [
        pytest.param(NOW - 3 * DAY, NOW - DAY, Reason.EXPIRED, id="expired"),
        pytest.param(NOW + DAY, NOW + 3 * DAY, Reason.NOT_YET_VALID, id="not yet valid"),
    ],
)
async def test_a_certificate_out_of_its_time_is_refused_with_the_date(
    authority: Authority, not_before: dt.datetime, not_after: dt.datetime, reason: Reason
) -> None:
    """Expired and not yet valid are two reasons, each with its date."""
    async with serving(silence, authority.context(not_before=not_before, not_after=not_after)) as port:
        seen = await probe_tls(at(port), TlsOptions(ca=authority.ca_file))
    assert seen.failure is not None
    assert seen.failure.reason is reason
    date = not_after if reason is Reason.EXPIRED else not_before
    assert f"{date:%Y-%m-%d %H:%M} UTC" in seen.failure.detail


@pytest.mark.parametrize(("offered", "chosen"), [((), None), (("http/1.1",), "http/1.1")])
async def test_a_server_without_h2_shows_by_its_alpn(
    authority: Authority, offered: tuple[str, ...], chosen: str | None
) -> None:
    """A handshake may succeed without h2: ALPN is a separate fact."""
    async with serving(silence, authority.context(alpn=offered)) as port:
        seen = await probe_tls(at(port), TlsOptions(ca=authority.ca_file))
    assert seen.failure is None
    assert seen.alpn == chosen


async def test_a_demand_for_a_client_certificate_is_seen(authority: Authority) -> None:
    """A TLS 1.3 server refuses only after the client's handshake; a trusted client certificate is accepted."""
    certificate, key = authority.client_files()
    with tls_server(authority.mutual()) as port:
        without = await probe_tls(at(port), TlsOptions(ca=authority.ca_file))
        given = await probe_tls(at(port), TlsOptions(ca=authority.ca_file, client_cert=certificate, client_key=key))
    assert without.failure is not None
    assert without.failure.reason is Reason.CLIENT_CERTIFICATE_REQUIRED
    assert given.failure is None


async def test_an_old_tls_version_is_named(authority: Authority) -> None:
    """For a server with TLS 1.1 at most the reason is its version."""
    context = authority.context()
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        context.minimum_version = ssl.TLSVersion.TLSv1
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    with tls_server(context) as port:
        seen = await probe_tls(at(port), TlsOptions(ca=authority.ca_file))
    assert seen.failure is not None
    assert seen.failure.reason is Reason.TLS_VERSION


async def test_closed_handshakes_and_missing_tls_are_distinguished() -> None:
    """A connection that closes during the handshake is a separate reason."""
    async with serving(hang_up) as port:
        seen = await probe_tls(at(port))
    assert seen.failure is not None
    assert seen.failure.reason is Reason.HANDSHAKE_CLOSED


async def test_plain_http1_is_not_tls() -> None:
    """A server that answers the ClientHello with HTTP/1.1 has no TLS, and the result names its protocol."""
    async with serving(http1("400 Bad Request", b"")) as port:
        seen = await probe_tls(at(port))
    assert seen.failure is not None
    assert (seen.failure.reason, seen.plaintext) == (Reason.NOT_TLS, "HTTP/1.x")


async def test_plaintext_http2_is_not_tls() -> None:
    """A gRPC server without TLS is recognised by its first SETTINGS."""
    with grpc_server({}) as port:
        seen = await probe_tls(at(port))
    assert seen.failure is not None
    assert (seen.failure.reason, seen.plaintext) == (Reason.NOT_TLS, "HTTP/2")


async def test_silence_ends_in_time() -> None:
    """For a server that accepts TCP and sends nothing, the probe ends at the timeout with this reason."""
    async with serving(silence) as port:
        seen = await probe_tls(at(port), timeout=1)
    assert seen.failure is not None
    assert seen.failure.reason is Reason.HANDSHAKE_TIMEOUT


async def test_a_file_that_is_no_certificate_is_an_error_for_the_user(tmp_path: Path) -> None:
    """A missing or unusable CA file raises with its name, before any connection."""
    broken = tmp_path / "broken.pem"
    broken.write_text("no certificate")
    for path in (broken, tmp_path / "missing.pem"):
        with pytest.raises(TrustFileError, match=path.name):
            await probe_tls(at(1), TlsOptions(ca=path))
