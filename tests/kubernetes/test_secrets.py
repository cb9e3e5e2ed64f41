"""Which Secrets Kiteway reads."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

import pytest

from kiteway.certificates.create import create_self_signed
from tests.kubernetes.conftest import Bed
from tests.kubernetes.controller import controller
from tests.kubernetes.site import INGRESS, apply_guide, proxy
from tests.support.kiteway import Running, wait_until

pytestmark = [pytest.mark.kubernetes, pytest.mark.timeout(300)]

CLIENT_CA = "kiteway.io/client-ca-secret"


def _reasons(kiteway: Running) -> set[str]:
    return {diagnostic["reason"] for diagnostic in kiteway.report()["diagnostics"]}


def test_a_ca_is_found_by_its_name(bed: Bed, free_port: Callable[[], int]) -> None:
    """
    A CA is in an Opaque Secret: Kiteway reads it when an Ingress names it, follows its changes, and reports
    its removal; it requests no other Opaque Secret.
    """
    cluster = bed.cluster
    apply_guide(cluster, proxy(0))
    (bed.folder / "clients.pem").write_bytes(create_self_signed(["ca.test"]).certificate)
    cluster.kubectl("create", "secret", "generic", "clients", "--from-file=ca.crt=clients.pem")
    cluster.kubectl("create", "secret", "generic", "unrelated", "--from-literal=password=secret")
    counter = cluster.counter()

    with controller(bed.kubeconfig, bed.folder / "kw", free_port()) as kiteway:
        cluster.kubectl("annotate", "ingress", INGRESS, f"{CLIENT_CA}=clients")
        wait_until(lambda: counter.of("watch", "secrets")[1:], "the named Secret is followed", 90)
        wait_until(lambda: "CASecretNotFound" not in _reasons(kiteway), "the CA is found", 90)
        cluster.kubectl("delete", "secret", "clients")
        wait_until(lambda: "CASecretNotFound" in _reasons(kiteway), "the CA is missed", 90)
        cluster.kubectl("create", "secret", "generic", "clients", "--from-file=ca.crt=clients.pem")
        wait_until(lambda: "CASecretNotFound" not in _reasons(kiteway), "the CA is found again", 90)

    asked = [parse_qs(urlsplit(uri).query)["fieldSelector"][0] for uri in counter.of("list", "secrets")]
    assert set(asked) == {"type=kubernetes.io/tls", "metadata.name=clients,type!=kubernetes.io/tls"}
