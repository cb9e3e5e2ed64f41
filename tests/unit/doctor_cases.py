"""
For each rule about files: an edit for which it reports a problem, the report's text, and a similar edit for
which it does not.
"""

from __future__ import annotations

from tests.unit.doctor_cases_tls_milvus import CERTIFICATE_AND_MILVUS_CASES
from tests.unit.doctor_edits import (
    Case,
    Edit,
    annotate,
    annotate_service,
    health,
    internal,
    managed_with,
    open_and_redirected,
    operator,
    policy,
    redirect,
    renamed_port,
    second_ingress,
    second_rule,
    secrets,
    security,
    tls,
)
from tests.unit.doctor_manifests import (
    ALLOW_HTTP,
    APP_PROTOCOLS,
    BACKEND_CONFIG,
    FRONTEND_CONFIG,
    HOST,
    INGRESS_CLASS,
    NEG,
    REST_PORT,
    STATIC_IP,
    key_pair,
)

MILVUS_PORTS = [{"name": "a", "port": 19530}, {"name": "b", "port": 1, "targetPort": 19529}]

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
        annotate_service(BACKEND_CONFIG, "{default: milvus}"),
        "is not JSON",
        annotate_service(BACKEND_CONFIG, '{"ports": {"19530": "milvus"}}'),
    ),
    Case(
        "BackendConfigExistenceCheck",
        annotate_service(BACKEND_CONFIG, '{"default": "other"}'),
        "the BackendConfig default/other does not exist",
        annotate_service(BACKEND_CONFIG, '{"ports": {"milvus": "milvus"}}'),
    ),
    Case(
        "HealthCheckTimeoutCheck",
        health(timeoutSec=11, checkIntervalSec=10),
        "11 is more than 10",
        health(timeoutSec=10, checkIntervalSec=10),
    ),
    Case(
        "IngressRuleCheck",
        lambda f: f.ingress["spec"]["rules"].append({"host": "other.milvus.io"}),
        "http",
        second_rule(f"www.{HOST}"),
    ),
    Case(
        "FrontendConfigExistenceCheck",
        annotate(FRONTEND_CONFIG, "redirect"),
        "the FrontendConfig default/redirect does not exist",
        redirect,
    ),
    Case("RuleHostOverwriteCheck", second_rule(HOST), "has two rules", second_rule(f"www.{HOST}")),
    Case(
        "AppProtocolAnnotationCheck",
        annotate_service(APP_PROTOCOLS, '{"milvus":"GRPC"}'),
        "invalid port application protocol",
        annotate_service(APP_PROTOCOLS, '{"milvus":"HTTPS"}'),
    ),
    Case(
        "L7ILBFrontendConfigCheck",
        internal(neg=True, frontend=True),
        "class gce-internal cannot have a FrontendConfig",
        internal(neg=True, frontend=False),
    ),
    Case(
        "L7ILBNegAnnotationCheck",
        internal(neg=False, frontend=False),
        "reaches endpoints by NEGs only",
        internal(neg=True, frontend=False),
    ),
    # GKE and the guide.
    Case(
        "APP_PROTOCOL_PORT_NAME",
        annotate_service(APP_PROTOCOLS, '{"19530":"HTTP2"}'),
        "ports are looked up by name only",
        renamed_port,
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
    Case("BACKENDCONFIG_WRONG_PORT", health(port=9092), "9092", health(checkIntervalSec=30)),
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
        policy("other"),
        "does not exist",
        policy("milvus"),
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
        annotate(INGRESS_CLASS, "gce"),
    ),
    Case(
        "ALLOW_HTTP_OPEN",
        lambda f: f.annotations.pop(ALLOW_HTTP),
        "port 80 serves the same hosts in plaintext",
        open_and_redirected,
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
        lambda f: (f.annotations.pop(STATIC_IP), annotate(INGRESS_CLASS, "kiteway")(f)),
    ),
    Case("LIMIT_10_CERTS", secrets(11), "there are 11 certificates", secrets(10)),
    Case("REDIRECT", redirect, "nothing is redirected", open_and_redirected),
    Case("HOST_CONFLICT", second_ingress(HOST), "which is older", second_ingress(f"www.{HOST}")),
    Case(
        "PATHS",
        lambda f: f.path.update(path="/v2*"),
        "has a *",
        lambda f: f.path.update(path="/milvus.proto.milvus.MilvusService"),
    ),
    Case(
        "MANAGEMENT_PORT",
        annotate_service(REST_PORT, "9091"),
        "metrics and management",
        annotate_service(REST_PORT, "9092"),
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
        renamed_port,
    ),
    Case(
        "GOOGLE_ONLY",
        lambda f: f.config["spec"].update(cdn={"enabled": True}),
        "Cloud CDN",
        lambda f: f.config["spec"].update(cdn={"enabled": False}),
    ),
    Case(
        "FOREIGN_ANNOTATIONS",
        annotate("nginx.ingress.kubernetes.io/whitelist-source-range", "10.0.0.0/8"),
        "source addresses are not restricted",
        annotate("nginx.ingress.kubernetes.io/backend-protocol", "GRPCS"),
    ),
    Case(
        "ANNOTATION_KEYS",
        annotate_service("cloud.google.com/app-protocol", '{"milvus":"HTTP2"}'),
        "no annotation that Kiteway or GKE reads",
        annotate_service("cloud.google.com/load-balancer-type", "Internal"),
    ),
    Case(
        "UNATTACHED",
        lambda f: f.add("cloud.google.com/v1", "BackendConfig", "other", spec={}),
        "no Service of its namespace names it",
        open_and_redirected,
    ),
    Case(
        "LEFT_OUT",
        annotate(INGRESS_CLASS, "nginx"),
        "no host of it is served",
        lambda f: f.add("apps/v1", "Deployment", "milvus"),
    ),
    *CERTIFICATE_AND_MILVUS_CASES,
]


# Further ways in which a rule fires.
MORE: list[tuple[str, Edit, str]] = [
    ("PATHS", lambda f: f.path.update(path="/milvus"), f'no gRPC call of Milvus has a path that "{HOST}" routes'),
    ("PATHS", lambda f: f.path.update(path="/milvus(/|$)"), "no gRPC call of Milvus has a path"),
    ("HELM_MISPLACED", lambda f: f.values["proxy"].update(http={"port": 8080}), "proxy.http.port at the top"),
    ("HELM_MISPLACED", lambda f: f.values.update(tls={}, quotaAndLimits={}), "quotaAndLimits at the top"),
    ("OPERATOR_SERVICE_ANNOTATIONS", operator("HTTP2"), "is not JSON"),
    (
        "MILVUS_INTERNAL_PORTS",
        lambda f: f.service["spec"].update(
            type="NodePort", ports=[{"name": "milvus", "port": 19530}, {"name": "node", "port": 22222}]
        ),
        "its type is NodePort, so that port 22222 (streamingNode.port)",
    ),
    (
        "MILVUS_INTERNAL_PORTS",
        lambda f: f.add("v1", "Service", "x", spec={"type": "LoadBalancer", "ports": MILVUS_PORTS}),
        "port 19529 (proxy.internalPort)",
    ),
    (
        "MILVUS_ADMIN_AUTH",
        lambda f: (security(managementMetricsOnly=True)(f), health(requestPath="/webui/")(f)),
        "the check requests /webui/, and with common.security.managementMetricsOnly",
    ),
    (
        "MILVUS_IDLE_TIMEOUT",
        tls(1, port=8080, idleTimeout="300s", maxConnectionIdleInterval="400s"),
        "differ: a Milvus that knows both does not start",
    ),
    ("MILVUS_IDLE_TIMEOUT", tls(1, port=8080, maxConnectionIdleInterval="240s"), "after 240 s"),
    ("MILVUS_REST_TIMEOUTS", tls(1, port=8080, writeTimeout="1.5h"), "proxy.http.writeTimeout is set"),
    (
        "MILVUS_REST_TIMEOUTS",
        tls(1, port=8080, overallTimeoutBudget="120s"),
        "ends a REST call after 120 s, though the BackendConfig's timeoutSec allows 3600 s",
    ),
    ("MILVUS_TLS_FILES", operator('{"milvus":"HTTP2"}'), "tls.serverPemPath and tls.serverKeyPath not set"),
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
    ("MANAGED_CERT_FAILED", managed_with("ProvisioningFailed", "Active"), "its status is ProvisioningFailed."),
    ("MANAGED_CERT_FAILED", managed_with("Active", "FailedCaaForbidden"), "has CAA records that forbid the CA"),
    ("LEFT_OUT", lambda f: f.add("gateway.networking.k8s.io/v1", "Gateway", "g"), "a kind of Gateway API"),
    ("FOREIGN_ANNOTATIONS", annotate_service("haproxy.org/server-ca", "ca"), "certificates are not verified by it"),
    ("ANNOTATION_KEYS", annotate(NEG, "{}"), "has no effect on an Ingress"),
    ("ANNOTATION_KEYS", annotate("kiteway.io/timeout", "5s"), "is no annotation of Kiteway"),
    ("MILVUS_TLS_FILES", lambda f: f.values["proxy"].update(volumeMounts=[{"mountPath": "/milvus/t"}]), "no volume"),
    ("MILVUS_TLS_FILES", lambda f: f.values["proxy"].update(volumeMounts="/milvus/tls"), "no volume"),
    ("MILVUS_TLS_SHARED_PORT", tls(1, port=19530), "REST shares port 19530 with gRPC"),
    ("MILVUS_CONFIG_UNREADABLE", tls(3, port=8080), "none of 0, 1 and 2"),
    ("MILVUS_CONFIG_UNREADABLE", lambda f: setattr(f, "user_yaml", "- a\n"), "must be a mapping"),
    ("MILVUS_CONFIG_UNREADABLE", lambda f: setattr(f, "user_yaml", "a: b: c"), "cannot be read"),
    (
        "L7ILBNegAnnotationCheck",
        lambda f: (internal(neg=True, frontend=False)(f), annotate_service(NEG, '{"exposed_ports": {"1": {}}}')(f)),
        "reaches endpoints by NEGs only",
    ),
    ("CERT_KEY", lambda f: f.secret["data"].pop("tls.key"), "has errors of its own"),
    ("ServiceExistenceCheck", lambda f: f.path["backend"]["service"].update(port={"number": 9}), "has no port 9"),
    ("HOST_MISMATCH", lambda f: f.serve(*key_pair("*.release.milvus.io")), "is valid for the host"),
]
