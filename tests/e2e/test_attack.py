"""The most likely attacks, beside a victim on a real Envoy; make attack runs all of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.attack import hanging, mutations, opened, rejected

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

_CHOSEN = (
    "1,001 request headers",
    "a certificate with a wildcard beside its suffix",
    "a health check that hangs for 300 s",
    "the same, before the first start",
    "a host that requires certificates, in plaintext",
)
_MUTATIONS = 300
_SEED = 13


@pytest.mark.parametrize("name", _CHOSEN)
def test_the_victim_sees_nothing_of_an_attack(name: str, envoy_binary: Path) -> None:
    """
    The victim's changes take effect and its calls succeed, also when Envoy and the control plane are killed
    meanwhile.
    """
    [attack] = [attack for attack in (*rejected.ATTACKS, *hanging.ATTACKS, *opened.ATTACKS) if attack.name == name]

    assert attack.run().broken == []


def test_random_mutations_of_a_tenant_affect_no_other(envoy_binary: Path) -> None:
    """After any mutation of a tenant's objects, Envoy accepts the configuration and the victim is served."""
    assert mutations.attack(_SEED, _MUTATIONS).run().broken == []
