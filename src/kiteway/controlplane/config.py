"""The configuration of the control plane: a 0600 JSON file, as arguments are visible to every user."""

from __future__ import annotations

from pathlib import Path

import msgspec

from kiteway.acme.config import AcmeConfig
from kiteway.envoy.settings import EnvoySettings
from kiteway.kubernetes.config import KubernetesConfig
from kiteway.model import TLSProfile
from kiteway.sources.certificate_files import CertificateFiles
from kiteway.sources.static import StaticEndpoint
from kiteway.translate.shared.limits import MOST_CACHE_MEMORY, NamespaceLimits


class Config(msgspec.Struct, frozen=True):
    """
    The configuration of the control plane.

    Attributes:
        data_dir: see `kiteway.instance.Instance`.
        paths: files and folders with manifests.
        recursive: whether the subfolders of the folders in ``paths`` are read, too.
        own_manifests: the one of ``paths`` that Kiteway wrote for ``up --to``; None without ``--to``.
        endpoints: see `kiteway.sources.static.StaticEndpoint`.
        certificates: certificates in files; with ``paths`` only.
        ssl_policies: see `kiteway.translate.Options`.
        settings: the settings of the data plane.
        ingress_class: see `kiteway.translate.Options`.
        acme: the CA for ManagedCertificates.
        namespace_limits: see `kiteway.translate.Options`.
        cache_memory: see `kiteway.translate.Options`.
        cache_by_default: see `kiteway.translate.Options`.
        metrics_bind: ``HOST:PORT`` of metrics and probes; None: there are none.
        kubernetes: the cluster to follow; None: ``paths`` are followed.
    """

    data_dir: str
    paths: tuple[str, ...]
    settings: EnvoySettings
    endpoints: tuple[StaticEndpoint, ...] = ()
    ingress_class: str = "kiteway"
    acme: AcmeConfig = AcmeConfig()
    certificates: tuple[CertificateFiles, ...] = ()
    ssl_policies: dict[str, TLSProfile] = {}
    namespace_limits: NamespaceLimits = NamespaceLimits()
    cache_memory: int = MOST_CACHE_MEMORY
    cache_by_default: bool = False
    metrics_bind: str | None = None
    kubernetes: KubernetesConfig | None = None
    own_manifests: str | None = None
    recursive: bool = False

    def plain(self) -> dict[str, object]:
        """Return it as JSON values."""
        built: dict[str, object] = msgspec.to_builtins(self, enc_hook=str)
        return built


def read(file: Path) -> Config:
    """Read a file with the values of ``plain``. Raises ``msgspec.ValidationError``, ``OSError``."""
    return msgspec.json.decode(file.read_bytes(), type=Config, dec_hook=lambda kind, value: kind(value))
