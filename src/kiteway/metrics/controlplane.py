"""The control plane's own metrics."""

from __future__ import annotations

import contextlib
from collections import Counter as Count
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from kiteway import __version__
from kiteway.diagnostics import Diagnostic, Severity
from kiteway.envoy.ads import AdsState
from kiteway.envoy.xds.common import grpc_cluster_name
from kiteway.model import LoadBalancer, PoolKey
from kiteway.report.certificates import IssuanceStatus, ManagedCertificateReport
from kiteway.status.caches import wanted_caches

# The time at which each counter began would double the page.
disable_created_metrics()  # type: ignore[no-untyped-call]

_SECONDS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0)


@dataclass(frozen=True, slots=True)
class Now:
    """
    The values at the time of a scrape.

    Attributes:
        ads: the state of the ADS server.
        model: the load balancer.
        diagnostics: everything that is wrong in the resources.
        quarantined: the number of Ingresses in quarantine.
        shortcomings: how many reasons there are why not everything is served; unhealthy endpoints are not among them.
        managed: the ManagedCertificates.
    """

    ads: AdsState
    model: LoadBalancer
    diagnostics: tuple[Diagnostic, ...]
    quarantined: int = 0
    shortcomings: int = 0
    managed: tuple[ManagedCertificateReport, ...] = ()


class ControlPlaneMetrics:
    """The metrics of one control plane; ``now`` is called at every scrape."""

    def __init__(self, now: Callable[[], Now]) -> None:
        self._now = now
        self._registry = CollectorRegistry()
        self._registry.register(_Gauges(now))
        self._translations = Counter(
            "kiteway_translations_total", "Translations of the resources into a configuration.", registry=self._registry
        )
        self._duration = Histogram(
            "kiteway_translation_duration_seconds",
            "Seconds from reading the resources to the configuration for Envoy.",
            buckets=_SECONDS,
            registry=self._registry,
        )

    @contextlib.contextmanager
    def translation(self) -> Iterator[None]:
        """Measure a translation; one that fails is not counted."""
        with self._duration.time():
            yield
        self._translations.inc()

    def pools(self) -> list[PoolKey]:
        """Return the pools of the configuration."""
        return [pool.key for pool in self._now().model.pools]

    def text(self) -> bytes:
        """Return the metrics in Prometheus' text format."""
        return generate_latest(self._registry)


class _Gauges(Collector):
    def __init__(self, now: Callable[[], Now]) -> None:
        self._now = now

    def collect(self) -> Iterable[Metric]:
        now = self._now()
        version = GaugeMetricFamily(
            "kiteway_info", "Always 1; the label is the release of Kiteway.", labels=["version"]
        )
        version.add_metric([__version__], 1)
        yield version
        configuration = GaugeMetricFamily(
            "kiteway_configuration_info",
            "Always 1; the label is the version of the configuration for Envoy.",
            labels=["version"],
        )
        configuration.add_metric([now.ads.version], 1)
        yield configuration
        yield GaugeMetricFamily("kiteway_envoys", "Connected Envoys.", value=float(len(now.ads.streams)))
        yield GaugeMetricFamily(
            "kiteway_envoys_converged",
            "Connected Envoys with the newest configuration, except for what they reject.",
            value=float(sum(stream.converged for stream in now.ads.streams)),
        )
        yield GaugeMetricFamily(
            "kiteway_rejected_resources",
            "Resources that connected Envoys reject.",
            value=float(sum(len(names) for stream in now.ads.streams for names in stream.rejected.values())),
        )
        yield GaugeMetricFamily(
            "kiteway_quarantined_ingresses",
            "Ingresses in quarantine: Envoy rejects their newest version, or may reject it.",
            value=float(now.quarantined),
        )
        yield GaugeMetricFamily(
            "kiteway_shortcomings",
            "Reasons why not everything is served: rejected objects, hosts without an endpoint.",
            value=float(now.shortcomings),
        )
        diagnostics = GaugeMetricFamily(
            "kiteway_diagnostics", "Diagnostics of the resources, by severity.", labels=["severity"]
        )
        found = Count(diagnostic.severity for diagnostic in now.diagnostics)
        for severity in Severity:
            diagnostics.add_metric([str(severity)], found[severity])
        yield diagnostics
        expiry = GaugeMetricFamily(
            "kiteway_certificate_expiry_timestamp_seconds",
            "When a served certificate expires, in seconds since 1970.",
            labels=["certificate"],
        )
        for certificate in now.model.certificates:
            expiry.add_metric([certificate.name], certificate.not_after.timestamp())
        yield expiry
        status = GaugeMetricFamily(
            "kiteway_managed_certificate_status",
            "1 for the state of a ManagedCertificate, 0 for the other states.",
            labels=["certificate", "status"],
        )
        for managed in now.managed:
            for each in IssuanceStatus:
                status.add_metric([managed.name, str(each)], float(each is managed.certificate_status))
        yield status
        caches = GaugeMetricFamily(
            "kiteway_cache_on", "Whether the cache that is asked for of a pool is in force.", labels=["pool"]
        )
        wanted = wanted_caches(now.model)
        for pool in now.model.pools:
            if pool.cache is not None or pool.key in wanted:
                caches.add_metric([grpc_cluster_name(pool.key)], float(pool.cache is not None))
        yield caches
