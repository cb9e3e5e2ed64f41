"""Problems that prevent a plan from being applied, or that a user should know before."""

from __future__ import annotations

import base64
import binascii
import datetime as dt

from kiteway.certificates.x509 import CertificateError, inspect
from kiteway.diagnostics import Diagnostic, ObjectRef, Severity
from kiteway.gke import user_yaml
from kiteway.gke.live import ClusterReading, Object, Release, dig
from kiteway.gke.names import Names, clustered
from kiteway.gke.options import CertificateKind, GkeOptions
from kiteway.gke.record import recorded_options
from kiteway.gke.values import user_text
from kiteway.resources.annotations import APP_PROTOCOLS

MIN_HELM = (3, 14, 0)
"""The first Helm with ``--reset-then-reuse-values``, without which an upgrade loses values."""
_MAY_CHANGE = frozenset(
    {"remove-l4", "timeout-sec", "draining-timeout-sec", "chart", "repo", "kiteway-chart", "kiteway-values"}
)


def problems(
    live: ClusterReading, release: Release | None, wanted: GkeOptions, names: Names | None
) -> tuple[Diagnostic, ...]:
    """Return everything that is wrong."""
    found: list[Diagnostic] = []
    if live.helm < MIN_HELM:
        text = ".".join(map(str, live.helm))
        found.append(
            _error("HelmTooOld", f"Helm {text} has no --reset-then-reuse-values.", "Install Helm 3.14 or later.")
        )
    if release is None or names is None:
        where = f"{wanted.namespace}/{wanted.release}"
        fix = "Give --release and --namespace; `helm list --all-namespaces` shows what there is."
        return (*found, _error("ReleaseNotFound", f"the Helm release {where} does not exist.", fix))
    found += _release(live, release, wanted, names)
    found += _milvus(release, wanted)
    found += _internal_domain(release)
    if wanted.certificate is CertificateKind.SELF_MANAGED:
        found += _certificate(live.get("Secret", wanted.namespace, names.certificate), wanted, names, live.at)
    return tuple(found)


def _release(live: ClusterReading, release: Release, wanted: GkeOptions, names: Names) -> list[Diagnostic]:
    found: list[Diagnostic] = []
    found += [
        _pending(each)
        for each in (release, live.kiteway_release)
        if each is not None and each.status.startswith("pending-")
    ]
    if live.service is None:
        fix = "Check nameOverride and fullnameOverride; the chart must be milvus-helm's."
        found.append(_error("ServiceNotFound", f"the Service {wanted.namespace}/{names.service} does not exist.", fix))
    if live.workload is None:
        fix = "Check that the chart is milvus-helm's and its proxy is enabled."
        found.append(_error("WorkloadNotFound", f"the Deployment {names.workload} does not exist.", fix))
    elif int(dig(live.workload, "spec", "replicas") or 1) < 2 and not wanted.kiteway:
        message = "Milvus runs with one proxy: while it restarts or fails, no client is served."
        if not clustered(release):
            message = "Milvus runs standalone: each restart of it interrupts all clients."
        found.append(_warning("SingleProxy", message, "Run it as a cluster with `proxy.replicas: 2` or more."))
    before = live.get("Ingress", wanted.namespace, names.ingress)
    if wanted.google and dig(before, "spec", "ingressClassName"):
        message = "GKE ignores an Ingress with spec.ingressClassName, and there is one of this name."
        reference = ObjectRef("Ingress", wanted.namespace, names.ingress)
        found.append(_error("IngressClassNameSet", message, "Delete it or take the field out first.", reference))
    if live.record is not None:
        was, now = recorded_options(live.record).plain(), wanted.plain()
        changed = sorted(key for key in now if key not in _MAY_CHANGE and was.get(key) != now[key])
        if changed:
            message = f"this release was set up with other options: {', '.join(changed)}."
            fix = "`kiteway gke rollback` first, or give the options it was set up with."
            found.append(_error("OptionsChanged", message, fix))
    return found


def _pending(release: Release) -> Diagnostic:
    return _error(
        "ReleasePending",
        f"another operation on the release {release.name} is running or was interrupted: {release.status}.",
        "Wait until it ends; if none is running, `helm rollback` the release to its last good revision.",
    )


def _milvus(release: Release, wanted: GkeOptions) -> list[Diagnostic]:
    if wanted.kiteway:
        return _speaks_tls(release)
    if release.effective.get("customConfigMap"):
        message = "customConfigMap is set, so the chart ignores extraConfigFiles and TLS cannot be turned on there."
        fix = "Set common.security.tlsMode, tls.* and proxy.http.port in that ConfigMap, or use --data-plane kiteway."
        return [_error("CustomConfigMap", message, fix)]
    try:
        found = user_yaml.read(user_text(release))
    except user_yaml.UserYamlError as error:
        return [_error("UserYamlUnreadable", str(error), "Correct it in the release's values first.")]
    if user_yaml.lookup(found, user_yaml.TLS_MODE) == 2:
        message = "tlsMode is 2: Milvus demands a client certificate, and Google's balancer has none."
        return [_error("MilvusMutualTLS", message, "Use --data-plane kiteway, or set tlsMode to 1.")]
    return []


def _internal_domain(release: Release) -> list[Diagnostic]:
    """Report ports on which Milvus 3.x serves everything without credentials (proxy.internalDomain)."""
    try:
        settings = user_yaml.read(user_text(release))
    except user_yaml.UserYamlError:
        return []  # reported where it is changed
    return [
        _warning(
            "InternalDomainOpen",
            f"{'.'.join(path)} is {port}: on that port Milvus serves everything without asking for credentials.",
            "Remove it from the release's values, or let a NetworkPolicy admit your control plane alone to it. Clients and the "
            "firewall need 19530 and 9091 only.",
        )
        for path in user_yaml.INTERNAL_DOMAIN
        if (port := user_yaml.lookup(settings, path)) not in (None, "", 0, "0")
    ]


def _speaks_tls(release: Release) -> list[Diagnostic]:
    """Report a Milvus with TLS to which Kiteway would speak plaintext."""
    try:
        mode = user_yaml.lookup(user_yaml.read(user_text(release)), user_yaml.TLS_MODE)
    except user_yaml.UserYamlError:
        return []  # nothing is changed in it
    if not mode or dig(release.effective, "service", "annotations", APP_PROTOCOLS):
        return []
    message = f"tlsMode is {mode}, but the Service does not say that its port speaks TLS: Kiteway would not use it."
    port = dig(release.effective, "service", "portName") or "milvus"
    fix = f'Set service.annotations."{APP_PROTOCOLS}" to {{"{port}":"HTTP2"}} in the release\'s values.'
    return [_error("ProtocolNotSaid", message, fix)]


def _certificate(secret: Object | None, wanted: GkeOptions, names: Names, now: dt.datetime) -> list[Diagnostic]:
    """Check an existing certificate: it is the user's, and never replaced."""
    if secret is None:
        return []
    reference = ObjectRef("Secret", wanted.namespace, names.certificate)
    fix = "Replace it, or delete it and let `kiteway gke apply` make one."
    data = dig(secret, "data") or {}
    try:
        chain, key = (base64.b64decode(data.get(part) or "") for part in ("tls.crt", "tls.key"))
        facts = inspect(chain, key)
    except binascii.Error:
        return [_error("CertificateUnreadable", "tls.crt or tls.key is no base64.", fix, reference)]
    except CertificateError as error:
        return [_error(error.reason, error.message, error.fix, reference)]
    if not facts.has_san:
        message = "the certificate has only a common name: the TLS of Go refuses it."
        return [_error("CertificateWithoutSAN", message, fix, reference)]
    if not any(_covers(name, wanted.host) for name in facts.names):
        message = f"the certificate is for {', '.join(facts.names)}, not for {wanted.host}."
        return [_error("HostMismatch", message, fix, reference)]
    if facts.not_after <= now:
        return [_error("CertificateExpired", f"the certificate ended {facts.not_after:%Y-%m-%d}.", fix, reference)]
    return []


def _covers(name: str, host: str) -> bool:
    return name == host or (name.startswith("*.") and name[2:] == host.partition(".")[2])


def _error(reason: str, message: str, fix: str, about: ObjectRef | None = None) -> Diagnostic:
    return Diagnostic(Severity.ERROR, reason, message, fix, about)


def _warning(reason: str, message: str, fix: str) -> Diagnostic:
    return Diagnostic(Severity.WARNING, reason, message, fix)
