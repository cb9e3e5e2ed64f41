"""The cases of the rules about certificates and about Milvus, as in `doctor_cases`."""

from __future__ import annotations

from tests.unit.doctor_edits import (
    Case,
    annotate_service,
    both_certificates,
    health,
    managed,
    managed_with,
    operator,
    proxy,
    renamed_port,
    security,
    tls,
)
from tests.unit.doctor_manifests import (
    APP_PROTOCOLS,
    CLIENT_CERTIFICATE,
    HOST,
    NEG,
    Files,
    key_pair,
)

CERTIFICATE_AND_MILVUS_CASES = [
    # Certificates.
    Case(
        "CERT_NAME",
        lambda f: f.ingress["spec"]["tls"].append({"secretName": "tls-2"}),
        "the TLS Secret default/tls-2 does not exist",
        managed("managed"),
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
    Case("CERT_CHAIN_ORDER", both_certificates(reverse=True), "are not in order", both_certificates(reverse=False)),
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
        managed("managed"),
        "do not wait for Active before you create the Ingress",
        lambda f: f.add("networking.gke.io/v1", "ManagedCertificate", "managed", spec={"domains": [HOST]}),
    ),
    Case("MANAGED_CERT_UNATTACHED", managed("manged"), "no Ingress of its namespace names it", managed("managed")),
    Case(
        "MANAGED_CERT_FAILED",
        managed_with("Provisioning", "FailedNotVisible"),
        f"its status is Provisioning: {HOST} does not lead to the load balancer (FailedNotVisible)",
        managed_with("Active", "Active"),
    ),
    # Milvus.
    Case(
        "MILVUS_CONFIG_UNREADABLE",
        lambda f: setattr(f, "user_yaml", {"common": {}}),
        "must be text",
        lambda f: setattr(f, "user_yaml", "# nothing yet\n"),
    ),
    Case("MILVUS_TLS_SHARED_PORT", tls(1), "do not start", tls(1, enabled=False)),
    Case(
        "MILVUS_TLS_FILES",
        lambda f: f.user.pop("tls"),
        "tls.serverPemPath and tls.serverKeyPath not set",
        lambda f: (f.values.pop("proxy"), f.values.update(volumeMounts=[{"mountPath": "/milvus/tls/"}])),
    ),
    Case(
        "MILVUS_MTLS",
        tls(2, port=8080),
        "demands a client certificate",
        lambda f: (tls(2, port=8080)(f), annotate_service(CLIENT_CERTIFICATE, "client")(f)),
    ),
    Case(
        "MILVUS_INTERNAL_PORTS",
        proxy(("internalDomain", {"grpcPort": 19540})),
        "proxy.internalDomain.grpcPort is 19540",
        proxy(("internalDomain", {"grpcPort": 0, "httpPort": "0"})),
    ),
    Case(
        "HEALTHCHECK_LIVENESS",
        health(requestPath="/livez"),
        "as long as its process runs",
        health(requestPath="/healthz"),
    ),
    Case(
        "MILVUS_ADMIN_AUTH",
        lambda f: (security(adminAuthEnabled=True)(f), health(requestPath="/api/v1/health")(f)),
        "with common.security.adminAuthEnabled Milvus answers it with an error",
        lambda f: (security(adminAuthEnabled=True)(f), health(requestPath="/healthz?role=proxy")(f)),
    ),
    Case(
        "MILVUS_REST_V1",
        lambda f: (tls(1, port=8080, enableV1=False)(f), f.path.update(path="/v1/vector")),
        'the path "/v1/vector" leads to version 1 of REST',
        lambda f: (tls(1, port=8080, enableV1="false")(f), f.path.update(path="/v2/vectordb")),
    ),
    Case(
        "MILVUS_IDLE_TIMEOUT",
        tls(1, port=8080, idleTimeout="3m30s"),
        "after 210 s, and Kiteway keeps it for 240 s",
        tls(1, port=8080, idleTimeout="10m20s", maxConnectionIdleInterval="620s"),
    ),
    Case(
        "MILVUS_REST_TIMEOUTS",
        tls(1, port=8080, requestTimeoutMs=60000),
        "a Milvus that knows proxy.http.overallTimeoutBudget does not start with it",
        tls(1, port=8080, requestTimeoutMs="30000", readTimeout="0s", overallTimeoutBudget="1h"),
    ),
    Case(
        "TLS_WITHOUT_HTTP2",
        lambda f: f.service_annotations.pop(APP_PROTOCOLS),
        "the balancer does not use HTTP/2 over TLS to port 19530",
        renamed_port,
    ),
    Case("HTTP2_WITHOUT_TLS", tls(0), "Milvus runs without TLS (tlsMode 0)", tls("2")),
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
        operator('{"19530":"HTTP2"}'),
        "names 19530; ports are looked up by name only",
        operator('{"milvus":"HTTP2"}'),
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
