"""The guide's other form: a certificate that Google issues."""

from __future__ import annotations

import contextlib
import json
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.gke.site import ADDRESS, HOST, SERVICE, Site

pytestmark = [pytest.mark.kubernetes, pytest.mark.milvus, pytest.mark.timeout(600)]


@contextlib.contextmanager
def google(site: Site, ca: Path) -> Iterator[list[bool]]:
    """
    Say Active for a ManagedCertificate as Google does: only once it is attached to a balancer.

    What the balancer serves by then goes to ``ca``. Yields whether the certificate was ever seen unattached.
    """
    ended, unattached = threading.Event(), [False]
    status = json.dumps(
        {"status": {"certificateStatus": "Active", "domainStatus": [{"domain": HOST, "status": "Active"}]}}
    )

    def watch() -> None:
        while not ended.wait(0.5):
            certificates = site.items("managedcertificates.networking.gke.io")
            if not certificates:
                continue
            if not site.items("ingresses"):
                unattached[0] = True
                continue
            with contextlib.suppress(OSError):
                ca.write_text(ssl.get_server_certificate((ADDRESS, 443)))
                patch = ("--subresource=status", "--type=merge", "-p", status)
                site.kubectl("patch", "managedcertificate", f"{SERVICE}-tls", *patch)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield unattached
    finally:
        ended.set()
        thread.join(60)


def test_a_google_managed_certificate(start: Site) -> None:
    """
    Certificate and Ingress are created together, so that the certificate becomes Active; the endpoint is
    verified, and rolled back.
    """
    before = start.state()
    ca = start.folder / "served.crt"
    with google(start, ca):
        applied = start.apply("--certificate", "google-managed", "--ca", str(ca))
    assert f" at {ADDRESS}:443 as {HOST}." in applied
    ingress = start.cluster.get("ingress", SERVICE)
    assert ingress["metadata"]["annotations"]["networking.gke.io/managed-certificates"] == f"{SERVICE}-tls"
    assert "tls" not in ingress["spec"]
    start.kiteway("rollback")
    assert start.state() == before
