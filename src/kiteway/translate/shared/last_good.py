"""The last good form of a unit, and what must not be old in it."""

from __future__ import annotations

import dataclasses

from kiteway.model import HTTPMode
from kiteway.translate.shared.unit import Unit


def renewed(last_good: Unit, now: Unit) -> Unit:
    """
    Return the last good form of the object whose newest form is ``now``.

    Its age is that of the new object.

    Certificates that are good now replace the older ones, so that one bad Secret does not let another certificate expire.
    If the newest form requires client certificates, so does the last good form. While these cannot be verified, it
    serves no client.
    """
    current = {certificate.name: certificate for certificate in now.certificates}
    certificates = tuple(current.get(c.name, c) for c in last_good.certificates)
    found = dataclasses.replace(last_good, owner=now.owner, retained=True, certificates=certificates)
    if not now.certificate_required or last_good.certificate_required:
        return found
    return dataclasses.replace(
        found,
        certificates=certificates if now.client_auth is not None else (),
        http=HTTPMode.REDIRECT if last_good.http is HTTPMode.REDIRECT else HTTPMode.OFF,
        client_auth=now.client_auth,
        certificate_required=True,
    )
