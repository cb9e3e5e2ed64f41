"""
For each rule about files: an edit for which it reports a problem, the report's text, and a similar edit for
which it does not.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable

from tests.unit.doctor_manifests import (
    ALLOW_HTTP,
    APP_PROTOCOLS,
    BACKEND_CONFIG,
    CLIENT_CERTIFICATE,
    FRONTEND_CONFIG,
    HOST,
    INGRESS_CLASS,
    MANAGED,
    NEG,
    REST_PORT,
    STATIC_IP,
    Files,
    key_pair,
)

Edit = Callable[[Files], object]


@dataclasses.dataclass(frozen=True)
class Case:
    """A rule, an edit that makes it fire with these words, and one that nearly does."""

    rule: str
    fires: Edit
    words: str
    near_miss: Edit


def _tls(mode: object, **http: object) -> Edit:
    def edit(files: Files) -> None:
        files.user["common"]["security"]["tlsMode"] = mode
        files.user["proxy"]["http"] = http

    return edit


def _health(**changes: object) -> Edit:
    return lambda files: files.config["spec"]["healthCheck"].update(changes)


def _annotate(key: str, value: str) -> Edit:
    return lambda files: files.annotations.update({key: value})


def _annotate_service(key: str, value: str) -> Edit:
    return lambda files: files.service_annotations.update({key: value})


def _policy(service: str) -> Edit:
    spec = {"targetRefs": [{"kind": "Service", "name": service}], "hedging": {"delay": "200ms"}}
    return lambda files: files.add("kiteway.io/v1alpha1", "MilvusPolicy", "policy", spec=spec)


def _redirect(files: Files) -> None:
    files.annotations[FRONTEND_CONFIG] = "redirect"
    files.add("networking.gke.io/v1beta1", "FrontendConfig", "redirect", spec={"redirectToHttps": {"enabled": True}})


def _open_and_redirected(files: Files) -> None:
    _redirect(files)
    del files.annotations[ALLOW_HTTP]


def _managed(name: str) -> Edit:
    def edit(files: Files) -> None:
        files.annotations[MANAGED] = "managed"
        files.add("networking.gke.io/v1", "ManagedCertificate", name, spec={"domains": [HOST]})

    return edit


def _secrets(count: int) -> Edit:
    def edit(files: Files) -> None:
        for number in range(count - 1):
            files.add("v1", "Secret", f"tls{number}", data=files.secret["data"])
            files.ingress["spec"]["tls"].append({"secretName": f"tls{number}"})

    return edit


def _second_ingress(host: str) -> Edit:
    def edit(files: Files) -> None:
        other = copy.deepcopy(files.ingress)
        other["metadata"]["name"] = "other"
        other["spec"]["rules"][0]["host"] = host
        files.extra.append(other)

    return edit


def _second_rule(host: str) -> Edit:
    return lambda files: files.ingress["spec"]["rules"].append({**files.rule, "host": host})


def _internal(neg: bool, frontend: bool) -> Edit:  # noqa: FBT001
    def edit(files: Files) -> None:
        files.annotations[INGRESS_CLASS] = "gce-internal"
        if not neg:
            del files.service_annotations[NEG]
        if frontend:
            _redirect(files)

    return edit


def _renamed_port(files: Files) -> None:
    files.service["spec"]["ports"][0]["name"] = "grpc"
    files.service_annotations[APP_PROTOCOLS] = '{"grpc":"HTTP2"}'


def _operator(protocols: str) -> Edit:
    annotations = {"serviceAnnotations": {APP_PROTOCOLS: protocols}}
    config = {"common": {"security": {"tlsMode": 1}}, "proxy": {"http": {"port": 8080}}}
    spec = {"config": config, "components": {"proxy": annotations}}
    return lambda files: files.add("milvus.io/v1beta1", "Milvus", "my-release", spec=spec)


def _both_certificates(reverse: bool) -> Edit:  # noqa: FBT001
    def edit(files: Files) -> None:
        certificate, key = key_pair(HOST)
        other, _ = key_pair("other.milvus.io")
        files.serve(other + certificate if reverse else certificate, key)

    return edit


CASES = [
    # check-gke-ingress's ten.
    Case(
        "ServiceExistenceCheck",
        lambda f: f.path["backend"]["service"].update(name="milvus-2"),
        "the Service default/milvus-2 does not exist",
        lambda f: f.path["backend"]["service"].update(port={"name": "milvus"}),
    ),
    Case(
        "BackendConfigAnnotationCheck",
        _annotate_service(BACKEND_CONFIG, "{default: milvus}"),
        "is not JSON",
        _annotate_service(BACKEND_CONFIG, '{"ports": {"19530": "milvus"}}'),
    ),
    Case(
        "BackendConfigExistenceCheck",
        _annotate_service(BACKEND_CONFIG, '{"default": "other"}'),
        "the BackendConfig default/other does not exist",
        _annotate_service(BACKEND_CONFIG, '{"ports": {"milvus": "milvus"}}'),
    ),
    Case(
        "HealthCheckTimeoutCheck",
        _health(timeoutSec=11, checkIntervalSec=10),
        "11 is more than 10",
        _health(timeoutSec=10, checkIntervalSec=10),
    ),
    Case(
        "IngressRuleCheck",
        lambda f: f.ingress["spec"]["rules"].append({"host": "other.milvus.io"}),
        "http",
        _second_rule(f"www.{HOST}"),
    ),
    Case(
        "FrontendConfigExistenceCheck",
        _annotate(FRONTEND_CONFIG, "redirect"),
        "the FrontendConfig default/redirect does not exist",
        _redirect,
    ),
    Case("RuleHostOverwriteCheck", _second_rule(HOST), "has two rules", _second_rule(f"www.{HOST}")),
    Case(
        "AppProtocolAnnotationCheck",
        _annotate_service(APP_PROTOCOLS, '{"milvus":"GRPC"}'),
        "invalid port application protocol",
        _annotate_service(APP_PROTOCOLS, '{"milvus":"HTTPS"}'),
    ),
    Case(
        "L7ILBFrontendConfigCheck",
        _internal(neg=True, frontend=True),
        "class gce-internal cannot have a FrontendConfig",
        _internal(neg=True, frontend=False),
    ),
    Case(
        "L7ILBNegAnnotationCheck",
        _internal(neg=False, frontend=False),
        "reaches endpoints by NEGs only",
        _internal(neg=True, frontend=False),
    ),
    # GKE and the guide.
    Case(
        "APP_PROTOCOL_PORT_NAME",
        _annotate_service(APP_PROTOCOLS, '{"19530":"HTTP2"}'),
        "ports are looked up by name only",
        _renamed_port,
    ),
    Case(
        "CLUSTERIP_NO_NEG",
        lambda f: f.service_annotations.pop(NEG),
        "GKE refuses a Service of type ClusterIP without NEGs",
        lambda f: (f.service_annotations.pop(NEG), f.service["spec"].update(type="NodePort")),
    ),
    Case(
        "BACKENDCONFIG_MISSING_HC",
        lambda f: f.config["spec"].pop("healthCheck"),
        "every endpoint would be UNHEALTHY",
        lambda f: f.config["spec"].update(healthCheck={"port": 9091}),
    ),
    Case("BACKENDCONFIG_WRONG_PORT", _health(port=9092), "9092", _health(checkIntervalSec=30)),
    Case(
        "TIMEOUT_30S",
        lambda f: f.config["spec"].pop("timeoutSec"),
        "every call ends after 30 s",
        lambda f: f.config["spec"].update(timeoutSec=31),
    ),
    Case(
        "DRAIN_0",
        lambda f: f.config["spec"].update(connectionDraining={"drainingTimeoutSec": 0}),
        "ends the calls of a removed endpoint at once",
        lambda f: f.config["spec"].update(connectionDraining={"drainingTimeoutSec": 1}),
    ),
    Case(
        "MILVUS_POLICY",
        _policy("other"),
        "does not exist",
        _policy("milvus"),
    ),
    Case(
        "AFFINITY",
        lambda f: f.config["spec"].update(sessionAffinity={"affinityType": "CLIENT_IP"}),
        "Milvus needs no affinity",
        lambda f: f.config["spec"].update(sessionAffinity={"affinityType": "NONE"}),
    ),
    Case(
        "INGRESS_CLASS_NAME_SET",
        lambda f: f.ingress["spec"].update(ingressClassName="gce"),
        "it has no IngressClass objects",
        _annotate(INGRESS_CLASS, "gce"),
    ),
    Case(
        "ALLOW_HTTP_OPEN",
        lambda f: f.annotations.pop(ALLOW_HTTP),
        "port 80 serves the same hosts in plaintext",
        _open_and_redirected,
    ),
    Case(
        "ALLOW_HTTP_FALSE_NO_TLS",
        lambda f: f.ingress["spec"].pop("tls"),
        "nothing is served",
        lambda f: (f.ingress["spec"].pop("tls"), f.annotations.pop(ALLOW_HTTP)),
    ),
    Case(
        "STATIC_IP",
        lambda f: f.annotations.pop(STATIC_IP),
        "no reserved address is named",
        lambda f: (f.annotations.pop(STATIC_IP), _annotate(INGRESS_CLASS, "kiteway")(f)),
    ),
    Case("LIMIT_10_CERTS", _secrets(11), "there are 11 certificates", _secrets(10)),
    Case("REDIRECT", _redirect, "nothing is redirected", _open_and_redirected),
    Case("HOST_CONFLICT", _second_ingress(HOST), "which is older", _second_ingress(f"www.{HOST}")),
    Case(
        "PATHS",
        lambda f: f.path.update(path="/v2*"),
        "has a *",
        lambda f: f.path.update(path="/milvus.proto.milvus.MilvusService"),
    ),
    Case(
        "MANAGEMENT_PORT",
        _annotate_service(REST_PORT, "9091"),
        "metrics and management",
        _annotate_service(REST_PORT, "9092"),
    ),
    Case(
        "REST_PORT",
        lambda f: f.service_annotations.pop(REST_PORT),
        "Milvus with TLS cannot serve REST on the port of gRPC",
        lambda f: (f.service_annotations.pop(REST_PORT), f.service_annotations.pop(APP_PROTOCOLS)),
    ),
    Case(
        "SERVICE_L4",
        lambda f: f.service["spec"].update(type="LoadBalancer"),
        "has an address of its own, past the Ingress",
        lambda f: f.service["spec"].update(type="NodePort"),
    ),
    Case(
        "PLAINTEXT_BACKEND",
        lambda f: f.service["spec"]["ports"][0].update(appProtocol="kubernetes.io/h2c"),
        "appProtocol says kubernetes.io/h2c",
        _renamed_port,
    ),
    Case(
        "GOOGLE_ONLY",
        lambda f: f.config["spec"].update(cdn={"enabled": True}),
        "Cloud CDN",
        lambda f: f.config["spec"].update(cdn={"enabled": False}),
    ),
    Case(
        "FOREIGN_ANNOTATIONS",
        _annotate("nginx.ingress.kubernetes.io/whitelist-source-range", "10.0.0.0/8"),
        "source addresses are not restricted",
        _annotate("nginx.ingress.kubernetes.io/backend-protocol", "GRPCS"),
    ),
    Case(
        "ANNOTATION_KEYS",
        _annotate_service("cloud.google.com/app-protocol", '{"milvus":"HTTP2"}'),
        "no annotation that Kiteway or GKE reads",
        _annotate_service("cloud.google.com/load-balancer-type", "Internal"),
    ),
    Case(
        "UNATTACHED",
        lambda f: f.add("cloud.google.com/v1", "BackendConfig", "other", spec={}),
        "no Service of its namespace names it",
        _open_and_redirected,
    ),
    Case(
        "LEFT_OUT",
        _annotate(INGRESS_CLASS, "nginx"),
        "no host of it is served",
        lambda f: f.add("apps/v1", "Deployment", "milvus"),
    ),
    # Certificates.
    Case(
        "CERT_NAME",
        lambda f: f.ingress["spec"]["tls"].append({"secretName": "tls-2"}),
        "the TLS Secret default/tls-2 does not exist",
        _managed("managed"),
    ),
    Case(
        "CERT_KEY",
        lambda f: f.secret["data"].update(Files().secret["data"], **{"tls.crt": f.secret["data"]["tls.crt"]}),
        "tls.key does not belong to tls.crt",
        lambda f: f.serve(*key_pair(HOST, "other.milvus.io")),
    ),
    Case("CERT_CN_ONLY", lambda f: f.serve(*key_pair()), "only as its common name", lambda f: f.serve(*key_pair(HOST))),
    Case(
        "CERT_EXPIRY",
        lambda f: f.serve(*key_pair(HOST, days=21)),
        "expires in 21 days",
        lambda f: f.serve(*key_pair(HOST, days=22)),
    ),
    Case("CERT_CHAIN_ORDER", _both_certificates(reverse=True), "are not in order", _both_certificates(reverse=False)),
    Case(
        "CERT_WEAK",
        lambda f: f.serve(*key_pair(HOST, days=99999)),
        "valid for 99999 days",
        lambda f: f.serve(*key_pair(HOST, days=825)),
    ),
    Case(
        "HOST_MISMATCH",
        lambda f: f.serve(*key_pair("other.milvus.io")),
        f'is valid for the host "{HOST}"',
        lambda f: f.serve(*key_pair("*.milvus.io")),
    ),
    Case(
        "MANAGED_CERT_ORDER",
        _managed("managed"),
        "do not wait for Active before you create the Ingress",
        lambda f: f.add("networking.gke.io/v1", "ManagedCertificate", "managed", spec={"domains": [HOST]}),
    ),
    Case("MANAGED_CERT_UNATTACHED", _managed("manged"), "no Ingress of its namespace names it", _managed("managed")),
    # Milvus.
    Case(
        "MILVUS_CONFIG_UNREADABLE",
        lambda f: setattr(f, "user_yaml", {"common": {}}),
        "must be text",
        lambda f: setattr(f, "user_yaml", "# nothing yet\n"),
    ),
    Case("MILVUS_TLS_SHARED_PORT", _tls(1), "do not start", _tls(1, enabled=False)),
    Case(
        "MILVUS_TLS_FILES",
        lambda f: f.user.pop("tls"),
        "tls.serverPemPath and tls.serverKeyPath not set",
        lambda f: (f.values.pop("proxy"), f.values.update(volumeMounts=[{"mountPath": "/milvus/tls/"}])),
    ),
    Case(
        "MILVUS_MTLS",
        _tls(2, port=8080),
        "demands a client certificate",
        lambda f: (_tls(2, port=8080)(f), _annotate_service(CLIENT_CERTIFICATE, "client")(f)),
    ),
    Case(
        "TLS_WITHOUT_HTTP2",
        lambda f: f.service_annotations.pop(APP_PROTOCOLS),
        "the balancer does not use HTTP/2 over TLS to port 19530",
        _renamed_port,
    ),
    Case("HTTP2_WITHOUT_TLS", _tls(0), "Milvus runs without TLS (tlsMode 0)", _tls("2")),
    Case(
        "HELM_SERVICE_ANNOTATIONS",
        lambda f: f.values["service"]["annotations"].pop(NEG),
        "service.annotations lacks cloud.google.com/neg:",
        lambda f: f.values["service"]["annotations"].update(other="x"),
    ),
    Case(
        "HELM_MISPLACED",
        lambda f: f.values.update(common={"security": {"tlsMode": 1}}),
        "common at the top of the values has no effect",
        lambda f: f.values["proxy"].update(http={"enabled": True}),
    ),
    Case(
        "OPERATOR_SERVICE_ANNOTATIONS",
        _operator('{"19530":"HTTP2"}'),
        "names 19530; ports are looked up by name only",
        _operator('{"milvus":"HTTP2"}'),
    ),
    Case(
        "HELM_L4_SERVICE",
        lambda f: f.values["service"].update(type="LoadBalancer"),
        "service.type is LoadBalancer",
        lambda f: f.values["service"].update(type="NodePort"),
    ),
    Case(
        "SINGLE_PROXY",
        lambda f: f.values["proxy"].update(replicas=1),
        "proxy.replicas is 1",
        lambda f: f.values["proxy"].update(replicas=3),
    ),
    Case(
        "MANIFEST_ERRORS",
        lambda f: f.config["spec"].update(timeOutSec=5),
        "timeOutSec",
        lambda f: f.add("apps/v1", "Deployment", "milvus"),
    ),
]


# Further ways in which a rule fires.
MORE: list[tuple[str, Edit, str]] = [
    ("PATHS", lambda f: f.path.update(path="/milvus"), f'no gRPC call of Milvus has a path that "{HOST}" routes'),
    ("PATHS", lambda f: f.path.update(path="/milvus(/|$)"), "no gRPC call of Milvus has a path"),
    ("HELM_MISPLACED", lambda f: f.values["proxy"].update(http={"port": 8080}), "proxy.http.port at the top"),
    ("HELM_MISPLACED", lambda f: f.values.update(tls={}, quotaAndLimits={}), "quotaAndLimits at the top"),
    ("OPERATOR_SERVICE_ANNOTATIONS", _operator("HTTP2"), "is not JSON"),
    ("MILVUS_TLS_FILES", _operator('{"milvus":"HTTP2"}'), "tls.serverPemPath and tls.serverKeyPath not set"),
    (
        "UNATTACHED",
        lambda f: f.add("networking.gke.io/v1beta1", "FrontendConfig", "r", spec={}),
        "no Ingress of its namespace names it",
    ),
    (
        "CERT_KEY",
        lambda f: f.ingress["spec"].pop("tls") and f.secret["data"].update({"tls.key": "bm8ga2V5"}),
        "no PEM key",
    ),
    ("LEFT_OUT", lambda f: f.add("gateway.networking.k8s.io/v1", "Gateway", "g"), "a kind of Gateway API"),
    ("FOREIGN_ANNOTATIONS", _annotate_service("haproxy.org/server-ca", "ca"), "certificates are not verified by it"),
    ("ANNOTATION_KEYS", _annotate(NEG, "{}"), "has no effect on an Ingress"),
    ("ANNOTATION_KEYS", _annotate("kiteway.io/timeout", "5s"), "is no annotation of Kiteway"),
    ("MILVUS_TLS_FILES", lambda f: f.values["proxy"].update(volumeMounts=[{"mountPath": "/milvus/t"}]), "no volume"),
    ("MILVUS_TLS_FILES", lambda f: f.values["proxy"].update(volumeMounts="/milvus/tls"), "no volume"),
    ("MILVUS_TLS_SHARED_PORT", _tls(1, port=19530), "REST shares port 19530 with gRPC"),
    ("MILVUS_CONFIG_UNREADABLE", _tls(3, port=8080), "none of 0, 1 and 2"),
    ("MILVUS_CONFIG_UNREADABLE", lambda f: setattr(f, "user_yaml", "- a\n"), "must be a mapping"),
    ("MILVUS_CONFIG_UNREADABLE", lambda f: setattr(f, "user_yaml", "a: b: c"), "cannot be read"),
    (
        "L7ILBNegAnnotationCheck",
        lambda f: (_internal(neg=True, frontend=False)(f), _annotate_service(NEG, '{"exposed_ports": {"1": {}}}')(f)),
        "reaches endpoints by NEGs only",
    ),
    ("CERT_KEY", lambda f: f.secret["data"].pop("tls.key"), "has errors of its own"),
    ("ServiceExistenceCheck", lambda f: f.path["backend"]["service"].update(port={"number": 9}), "has no port 9"),
    ("HOST_MISMATCH", lambda f: f.serve(*key_pair("*.release.milvus.io")), "is valid for the host"),
]
