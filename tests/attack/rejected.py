"""Objects that Envoy rejects, each with the whole route table or listener that contains it."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding

from tests.attack.attack import Attack, Poison, Seen, poisoned, trial
from tests.attack.tenant import ATTACKER, BAIT, ingress, merged, secret, tenant, tls_secret
from tests.attack.world import world
from tests.e2e.traffic import Backend
from tests.support.certificates import authority, issue
from tests.support.manifests import Manifest
from tests.support.poison import ANNOTATION, SENTENCE, unforeseen

_HOST = f"a.{BAIT}"
_EXPANDING = "{client_ip_address}" * 430
"""8,170 bytes, fewer than GCP allows; in Envoy's words 17,200, more than it takes."""


def attacker(
    backend: Backend, *names: str, spec: dict[str, Any] | None = None, hosts: Sequence[str | None] = (_HOST,)
) -> list[Manifest]:
    """Return a tenant that is good but for what is in its BackendConfig's ``spec`` and its certificate's ``names``."""
    return [
        *tenant(ATTACKER, backend, spec),
        ingress(ATTACKER, hosts, tls=["tls"]),
        tls_secret("tls", ATTACKER, issue(*(names or filter(None, hosts)))),
    ]


def _headers(field: str, *headers: str) -> Poison:
    return lambda backend: attacker(backend, spec={field: {"headers": list(headers)}})


def _names(*names: str) -> Poison:
    """Serve all other hosts, so that every name of the certificate is answered."""
    return lambda backend: attacker(backend, *names, hosts=[None])


def one_byte_changed() -> bytes:
    """
    Return a CA that OpenSSL reads and BoringSSL refuses: its subject's name has another ASN.1 type.

    Type 8 (EXTERNAL) in the place of 12 (UTF8String).
    """
    der = authority("Clients").certificate.public_bytes(Encoding.DER)
    name = b"\x06\x03\x55\x04\x03"  # the OID of commonName; what follows is the tag of its value
    assert name + b"\x0c" in der
    changed = der.replace(name + b"\x0c", name + b"\x08", 1)
    return b"-----BEGIN CERTIFICATE-----\n" + base64.encodebytes(changed) + b"-----END CERTIFICATE-----\n"


def _client_ca() -> Seen:
    """Name a bad CA when the certificate is at Envoy already: before, the chain would wait for that and be looked at alone."""
    with world(first=attacker) as found:
        return trial(found, _with_client_ca(found.backend))


def _with_client_ca(backend: Backend) -> list[Manifest]:
    return [
        *tenant(ATTACKER, backend),
        ingress(ATTACKER, [_HOST], tls=["tls"], annotations={"kiteway.io/client-ca-secret": "clients"}),
        tls_secret("tls", ATTACKER, issue(_HOST)),
        secret("clients", ATTACKER, **{"ca.crt": one_byte_changed()}),
    ]


def _both_kinds(backend: Backend) -> list[Manifest]:
    many = {"customRequestHeaders": {"headers": [f"x-h{number}:v" for number in range(1001)]}}
    return attacker(backend, f"*.{BAIT}", f"a*b.{BAIT}", spec=many, hosts=[f"*.{BAIT}"])


def _before_the_start() -> Seen:
    """Apply what Envoy rejects before Kiteway has ever run: there is no last good form of anything."""
    with world(first=_both_kinds) as found:
        return trial(found, _both_kinds(found.backend))


def _unforeseen() -> Seen:
    """Apply what is good by every rule, and what Envoy rejects: only its rejection tells."""
    with unforeseen(), world(first=attacker) as found:
        objects = attacker(found.backend)
        bad = [merged(each, {"metadata": {"annotations": {ANNOTATION: "x"}}}) for each in objects]
        seen = trial(found, [bad[i] if each["kind"] == "Ingress" else each for i, each in enumerate(objects)])
        said = json.dumps(found.status())
        seen.check(holds=SENTENCE in said, otherwise="the status does not quote Envoy")
        return seen


def _good() -> Seen:
    with world() as found:
        return trial(found, attacker(found.backend), must_refuse=False)


ATTACKS = (
    Attack("A", "none: a second tenant that is good", _good),
    poisoned("A", "1,001 request headers", _headers("customRequestHeaders", *(f"x-h{n}:v" for n in range(1001)))),
    poisoned("A", "a request header that expands past 16 KiB", _headers("customRequestHeaders", f"x-h:{_EXPANDING}")),
    poisoned("A", "a response header that expands past 16 KiB", _headers("customResponseHeaders", f"x-h:{_EXPANDING}")),
    poisoned("A", "a header name of 17,000 characters", _headers("customRequestHeaders", f"{'x' * 17000}:v")),
    poisoned("A", "a certificate with a wildcard inside a label", _names(f"*.{BAIT}", f"a*b.{BAIT}")),
    poisoned("A", "a certificate with a wildcard that is not leftmost", _names(f"*.{BAIT}", f"a.*.{BAIT}")),
    poisoned("A", "a certificate with a wildcard beside its suffix", _names(f"*.{BAIT}", f".{BAIT}")),
    Attack("A", "a client CA with one changed byte", _client_ca),
    Attack("A", "a header that no rule foresees", _unforeseen),
    Attack("A", "both kinds, before the first start", _before_the_start),
)
