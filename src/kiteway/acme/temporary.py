"""The temporary certificate that is served until the real one is issued, so that the Ingress serves at once."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from kiteway.certificates.create import create_self_signed
from kiteway.certificates.x509 import inspect
from kiteway.diagnostics import ObjectRef
from kiteway.model import Certificate

ORGANIZATION = "Kiteway temporary"
"""The subject's O, which tells people what the certificate is."""
_DAYS = 90


def temporary_certificate(name: str, domains: Sequence[str], source: ObjectRef, now: dt.datetime) -> Certificate:
    """Return a fresh self-signed certificate for ``domains``; ``name`` is the one the real certificate will have."""
    pair = create_self_signed(domains, days=_DAYS, organization=ORGANIZATION, now=now)
    facts = inspect(pair.certificate, pair.key.reveal())
    return facts.certificate(name, source, key=pair.key, temporary=True)


def grown_old(certificate: Certificate, now: dt.datetime) -> bool:
    """Return whether a temporary certificate is in the last third of its life."""
    return now > certificate.not_after - dt.timedelta(days=_DAYS / 3)
