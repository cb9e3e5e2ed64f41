"""Diagnostics for settings that only Google's infrastructure supports."""

from __future__ import annotations

import math

from kiteway.resources import BackendConfig, Service
from kiteway.resources import annotations as keys
from kiteway.resources.places import Path
from kiteway.translate.shared.context import Context

_REASON = "GoogleOnly"


def check_backend_config(context: Context, config: BackendConfig) -> None:
    """Report the parts of a BackendConfig that have no effect here."""
    spec = config.spec
    if spec.iap is not None and spec.iap.enabled:
        context.warn(
            config,
            "IAPUnsupported",
            "Identity-Aware Proxy exists at Google only: calls are not stopped by it here. No Milvus SDK can use it.",
            "Turn on Milvus's own authentication, and remove iap.",
            ("spec", "iap"),
        )
    if spec.security_policy is not None and spec.security_policy.name:
        context.warn(
            config,
            "SecurityPolicyUnsupported",
            f'the Google Cloud Armor policy "{spec.security_policy.name}" exists at Google only: it protects nothing '
            "here.",
            "Limit access to the balancer in the network, and remove securityPolicy.",
            ("spec", "securityPolicy"),
        )
    if spec.cdn is not None and spec.cdn.enabled:
        what = "Cloud CDN with its signed URLs" if spec.cdn.signed_url_keys else "Cloud CDN"
        context.warn(
            config,
            "CDNUnsupported",
            f"{what} exists at Google only, and caches no gRPC there either.",
            "Remove cdn; Kiteway has a cache of its own for Milvus's reads.",
            ("spec", "cdn"),
        )


def check_service(context: Context, service: Service) -> None:
    """Report the annotations of a Service that have no effect here."""
    limits = {keys.MAX_RATE_PER_ENDPOINT: math.inf, keys.CAPACITY_SCALER: 1.0}
    for key, most in limits.items():
        text = service.metadata.annotations.get(key)
        if text is None:
            continue
        path: Path = ("metadata", "annotations", key)
        value = _number(text)
        if value is None or not 0 <= value <= most:
            allowed = "a number from 0 to 1" if most == 1 else "a number, 0 or more"
            context.error(service, "TrafficScalingInvalid", f'"{text}" is not {allowed}.', "Correct it.", path)
        else:
            context.warn(
                service,
                _REASON,
                "Google's load balancers weigh backends by it; Kiteway sends each call to the endpoint with the fewest active calls.",
                "Remove it.",
                path,
            )


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
