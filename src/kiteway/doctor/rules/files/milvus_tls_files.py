"""Whether Milvus has its own certificate and key."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

from kiteway.diagnostics import Severity
from kiteway.doctor.manifests import Manifests
from kiteway.doctor.milvus_config import MilvusConfig
from kiteway.doctor.rule import Finding, Rule, Scope, failed, passed

_KEYS = ("serverPemPath", "serverKeyPath")


def _check(manifests: Manifests) -> Iterator[Finding]:
    for config in manifests.milvus:
        if not config.tls_mode:
            continue
        missing = [f"tls.{key}" for key in _KEYS if not config.setting("tls", key)]
        at = config.at("tls")
        if missing:
            message = (
                f"{' and '.join(missing)} not set: Milvus serves the self-signed certificate for localhost that is "
                "part of its image, whose private key everyone has."
            )
            fix = "Mount a TLS Secret into the proxies and name its files in tls.serverPemPath and tls.serverKeyPath."
            yield failed(config.ref, message, fix, position=at)
            continue
        paths = [str(config.setting("tls", key)) for key in _KEYS]
        outside = [path for path in paths if not _is_mounted(config, path)]
        if outside:
            message = (
                f"{' and '.join(outside)}: no volume of these Helm values is mounted there, so Milvus has no such file."
            )
            fix = "Add the Secret to volumes and volumeMounts of the proxy (of standalone, or globally, as it runs)."
            yield failed(config.ref, message, fix, severity=Severity.ERROR, position=at)
        else:
            yield passed(config.ref, "Milvus has a key pair of its own.")


def _is_mounted(config: MilvusConfig, path: str) -> bool:
    """Return whether a path lies below a volumeMount or in the image; always true for milvus.yaml alone, which shows no mounts."""
    if config.values is None or path.startswith("configs/cert/"):
        return True
    mounts: list[Any] = []
    for component in (("proxy",), ("standalone",), ()):
        found = config.value(*component, "volumeMounts")
        mounts += found if isinstance(found, list) else []
    targets = [mount.get("mountPath") for mount in mounts if isinstance(mount, dict)]
    return any(isinstance(target, str) and PurePosixPath(path).is_relative_to(target) for target in targets)


RULE = Rule(
    "MILVUS_TLS_FILES",
    "The certificate and key of a Milvus with TLS",
    "The guide does not mention them (trap G3): Milvus then serves the self-signed certificate for localhost from its "
    "image, and with paths at which nothing is mounted the proxies do not start.",
    Scope.FILES,
    _check,
    Severity.WARNING,
)
