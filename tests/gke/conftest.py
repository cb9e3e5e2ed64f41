"""One cluster for a file of tests, and the guide's starting point for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.gke.site import Site, site

GCLOUD = """\
#!/bin/sh
# Keeps reserved addresses in a folder, as Google does in a project.
mkdir -p @STATE@
[ "$1" = --project ] && shift 2
case "$3" in
  create) echo 127.0.0.1 > "@STATE@/$4" ;;
  delete) rm "@STATE@/$4" ;;
  describe) cat "@STATE@/$4" 2>/dev/null || { echo "ERROR: The resource was not found" >&2; exit 1; } ;;
esac
"""


@pytest.fixture(scope="module")
def ground() -> Iterator[Site]:
    """Start a cluster."""
    with site(GCLOUD) as started:
        yield started


@pytest.fixture
def start(ground: Site) -> Iterator[Site]:
    """Bring the cluster to the guide's starting point: Milvus in plaintext behind a Layer-4 balancer."""
    ground.install()
    yield ground
    ground.uninstall()
