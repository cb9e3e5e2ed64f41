"""The rules of each kind: every mistake has its reason, its place and a sentence."""

from __future__ import annotations

import textwrap

import pytest

from kiteway.diagnostics import Diagnostic, Position, Severity
from kiteway.resources import Secret, load_documents, reasons
from kiteway.resources import annotations as keys

MARK = "^^"
"""Stands before the character that a diagnostic must point at."""

INGRESS = """\
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: a}
spec:
"""
RULE = """\
  rules:
  - host: a.example.com
    http:
      paths:
"""
PATH = "      - {path: /, pathType: Prefix, backend: {service: {name: s, port: {number: 80}}}}\n"
SERVICE = """\
apiVersion: v1
kind: Service
metadata: {name: a}
spec:
"""
SLICE = """\
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: a}
"""
SECRET = """\
apiVersion: v1
kind: Secret
metadata: {name: a}
"""
BACKEND_CONFIG = """\
apiVersion: cloud.google.com/v1
kind: BackendConfig
metadata: {name: a}
spec:
"""
FRONTEND_CONFIG = """\
apiVersion: networking.gke.io/v1beta1
kind: FrontendConfig
metadata: {name: a}
spec:
"""
CERTIFICATE = """\
apiVersion: networking.gke.io/v1
kind: ManagedCertificate
metadata: {name: a}
spec:
"""
GOOD_INGRESS = INGRESS + RULE + PATH
PORTS = "  ports: [{port: 80}]\n"


def diagnose(text: str) -> tuple[list[Diagnostic], Position | None]:
    """Load a marked text and return its diagnostics and the marked place."""
    before, found, after = text.partition(MARK)
    lines = before.split("\n")
    place = Position("f.yaml", len(lines), len(lines[-1]) + 1) if found else None
    return list(load_documents((before + after).encode(), "f.yaml").diagnostics), place


CASES = [
    # Metadata.
    (INGRESS.replace("{name: a}", "^^{namespace: b}") + RULE + PATH, "FieldValueRequired", "metadata.name", "name is required"),
    (GOOD_INGRESS.replace("name: a}", "name: ^^A_b}"), "FieldValueInvalid", "metadata.name", 'not "A_b"'),
    (GOOD_INGRESS.replace("name: a}", "name: ^^5}"), "FieldValueTypeInvalid", "metadata.name", "a string, not the number 5. Quote"),
    (GOOD_INGRESS.replace("name: a}", "name: a, namespace: ^^a.b}"), "FieldValueInvalid", "metadata.namespace", "a DNS label"),
    (SERVICE.replace("name: a}", "name: ^^a.b}") + PORTS, "FieldValueInvalid", "metadata.name", "must be a DNS label"),
    (GOOD_INGRESS.replace("name: a}", "name: a, labels: {x: ^^yes}}"), "FieldValueTypeInvalid", "metadata.labels.x", "a string, not true. Quote it"),
    (
        GOOD_INGRESS.replace("name: a}", "name: a, annotations: {kubernetes.io/ingress.allow-http: ^^false}}"),
        "FieldValueTypeInvalid",
        'metadata.annotations["kubernetes.io/ingress.allow-http"]',
        'must be a string, not false. Quote it: "false".',
    ),
    (GOOD_INGRESS.replace("name: a}", "name: a, creationTimestamp: ^^2024-05-01}"), "FieldValueInvalid", "metadata.creationTimestamp", "RFC 3339"),
    (GOOD_INGRESS.replace("name: a}", 'name: a, uid: ^^"a\\0"}'), "ControlCharacter", "metadata.uid", "NUL"),
    (GOOD_INGRESS.replace("{name: a}", f"{{name: a, annotations: ^^{{b: {'x' * 262144}}}}}"), "FieldValueTooLong", "metadata.annotations", "262144 bytes"),
    # Ingress.
    (INGRESS + "  ingressClassName: gce\n".replace("  ", "  ^^", 1), "FieldValueRequired", "spec", "must have defaultBackend or rules"),
    (GOOD_INGRESS.replace("host: a", "host: ^^A"), "FieldValueInvalid", "spec.rules[0].host", 'Use lower case: "a.example.com"'),
    (GOOD_INGRESS.replace("host: a.example.com", "host: ^^10.0.0.1"), "FieldValueInvalid", "spec.rules[0].host", "not the IP address"),
    (GOOD_INGRESS.replace("host: a.example.com", 'host: ^^"::1"'), "FieldValueInvalid", "spec.rules[0].host", "not the IP address"),
    (GOOD_INGRESS.replace("host: a.example.com", "host: ^^a.example.com:443"), "FieldValueInvalid", "spec.rules[0].host", "Remove the port"),
    (GOOD_INGRESS.replace("host: a.example.com", "host: ^^https://a.example.com/"), "FieldValueInvalid", "spec.rules[0].host", "Remove https://"),
    (GOOD_INGRESS.replace("host: a.example.com", 'host: ^^"a.*.com"'), "FieldValueInvalid", "spec.rules[0].host", "A wildcard is"),
    (GOOD_INGRESS.replace("host: a.example.com", "host: ^^\u5411\u91cf.example.com"), "FieldValueInvalid", "spec.rules[0].host", 'Write it in ASCII, as DNS has it: "xn--iqru05l.example.com".'),
    (GOOD_INGRESS.replace("host: a.example.com", "host: ^^a.example.com\u3002"), "FieldValueInvalid", "spec.rules[0].host", 'Write it in ASCII, as DNS has it: "a.example.com".'),
    (GOOD_INGRESS.replace("host: a.example.com", "host: ^^a\uff1ab"), "FieldValueInvalid", "spec.rules[0].host", "Use lower-case letters"),
    (GOOD_INGRESS.replace("host: a.example.com", "host: ^^-a"), "FieldValueInvalid", "spec.rules[0].host", "must be a DNS name"),
    (GOOD_INGRESS + "  tls: [{hosts: [a.b, ^^B.c]}]\n", "FieldValueInvalid", "spec.tls[0].hosts[1]", "hosts[1] must be a DNS name"),
    (GOOD_INGRESS.replace("path: /,", "path: ^^x,"), "FieldValueInvalid", "spec.rules[0].http.paths[0].path", 'must be absolute. Write "/x"'),
    (GOOD_INGRESS.replace("path: /,", "path: ^^/a//b,"), "FieldValueInvalid", "spec.rules[0].http.paths[0].path", 'must not contain "//"'),
    (GOOD_INGRESS.replace("path: /,", "path: ^^/a/..,"), "FieldValueInvalid", "spec.rules[0].http.paths[0].path", 'must not contain "/.."'),
    (GOOD_INGRESS.replace("pathType: Prefix, ", "").replace("{path", "^^{path"), "FieldValueRequired", "spec.rules[0].http.paths[0].pathType", "Add pathType"),
    (GOOD_INGRESS.replace("Prefix", "^^prefix"), "FieldValueNotSupported", "spec.rules[0].http.paths[0].pathType", "Did you mean Prefix?"),
    (INGRESS + RULE.rstrip("\n") + " ^^[]\n", "FieldValueRequired", "spec.rules[0].http.paths", "at least one entry"),
    (GOOD_INGRESS.replace("{number: 80}", "^^{}"), "FieldValueRequired", "spec.rules[0].http.paths[0].backend.service.port", "must have name or number"),
    (GOOD_INGRESS.replace("{number: 80}", "^^{number: 80, name: a}"), "FieldValueInvalid", "spec.rules[0].http.paths[0].backend.service.port", "not both"),
    (GOOD_INGRESS.replace("{number: 80}", "{number: ^^0}"), "FieldValueInvalid", "spec.rules[0].http.paths[0].backend.service.port.number", "between 1 and 65535, not 0"),
    (GOOD_INGRESS.replace("{number: 80}", '{number: ^^"80"}'), "FieldValueTypeInvalid", "spec.rules[0].http.paths[0].backend.service.port.number", 'must be an integer, not the string "80". Remove the quotes.'),
    (GOOD_INGRESS.replace("{number: 80}", "{name: ^^A}"), "FieldValueInvalid", "spec.rules[0].http.paths[0].backend.service.port.name", "a port name"),
    (GOOD_INGRESS.replace("number: 80", "number: 80.5").replace("80.5", "^^80.5"), "FieldValueTypeInvalid", "spec.rules[0].http.paths[0].backend.service.port.number", "an integer, not the number 80.5"),
    (INGRESS + "  defaultBackend: ^^{}\n", "FieldValueRequired", "spec.defaultBackend", "must have service or resource"),
    (INGRESS + "  defaultBackend: ^^{service: {name: a, port: {number: 1}}, resource: {kind: B, name: b}}\n", "FieldValueInvalid", "spec.defaultBackend", "not both"),
    (GOOD_INGRESS.replace("spec:", "spec:\n  ^^foo: 1"), "UnknownField", "spec.foo", "foo is not a field of spec"),
    (GOOD_INGRESS + "  ^^tsl: []\n", "UnknownField", "spec.tsl", "Did you mean tls?"),
    (GOOD_INGRESS.replace("metadata: {name: a}", "metadata: {name: a, ^^anotations: {}}"), "UnknownField", "metadata.anotations", "Did you mean annotations?"),
    (GOOD_INGRESS.replace("spec:", "^^sepc: {}\nspec:"), "UnknownField", "sepc", "Did you mean spec?"),
    (INGRESS + RULE + "      - ^^{pathType: Prefix, path: /}\n", "FieldValueRequired", "spec.rules[0].http.paths[0].backend", "is required"),
    (INGRESS + "  rules: ^^{}\n", "FieldValueTypeInvalid", "spec.rules", "must be a list, not a mapping"),
    (INGRESS + "  rules: [^^a]\n", "FieldValueTypeInvalid", "spec.rules[0]", 'must be a mapping, not the string "a"'),
    # Service.
    (SERVICE.replace("spec:\n", "spec: ^^{}\n"), "FieldValueRequired", "spec.ports", "ports is required"),
    (SERVICE + "  type: ^^clusterip\n" + PORTS, "FieldValueNotSupported", "spec.type", "Did you mean ClusterIP?"),
    (SERVICE + "  clusterIP: ^^none\n" + PORTS, "FieldValueInvalid", "spec.clusterIP", "must be an IP address or None"),
    (SERVICE + "  ports: [{port: ^^65536}]\n", "FieldValueInvalid", "spec.ports[0].port", "between 1 and 65535"),
    (SERVICE + '  ports: [{port: 80, targetPort: ^^"80"}]\n', "FieldValueInvalid", "spec.ports[0].targetPort", "Remove the quotes"),
    (SERVICE + "  ports: [{port: 80, targetPort: ^^1.5}]\n", "FieldValueTypeInvalid", "spec.ports[0].targetPort", "must be an integer"),
    (SERVICE + "  ports: [{port: 80, targetPort: ^^true}]\n", "FieldValueTypeInvalid", "spec.ports[0].targetPort", "an integer or a string, not true"),
    (SERVICE + "  ports: [{port: 80, protocol: ^^tcp}]\n", "FieldValueNotSupported", "spec.ports[0].protocol", "Did you mean TCP?"),
    (SERVICE + "  ports: [{port: 80, appProtocol: ^^a b}]\n", "FieldValueInvalid", "spec.ports[0].appProtocol", "kubernetes.io/h2c"),
    (SERVICE + "  ports: [{port: 80, name: ^^A}]\n", "FieldValueInvalid", "spec.ports[0].name", "a DNS label"),
    (SERVICE + "  ports: [{port: 80, name: a}, ^^{port: 81}]\n", "FieldValueRequired", "spec.ports[1].name", "with several ports"),
    (SERVICE + "  ports: [{port: 80, name: a}, {port: 81, name: ^^a}]\n", "FieldValueDuplicate", "spec.ports[1].name", "another port"),
    (SERVICE + "  ports: [{port: 80, name: a}, {port: ^^80, name: b}]\n", "FieldValueDuplicate", "spec.ports[1].port", "the number 80"),
    (SERVICE + "  selector: {a: ^^1}\n" + PORTS, "FieldValueTypeInvalid", "spec.selector.a", "Quote it"),
    # EndpointSlice.
    (SLICE.replace("api", "^^api") + "ports: []\n", "FieldValueRequired", "addressType", "Add addressType"),
    (SLICE + "addressType: ^^ipv4\n", "FieldValueNotSupported", "addressType", "Did you mean IPv4?"),
    (SLICE + 'addressType: IPv4\nendpoints: [{addresses: [10.0.0.1, ^^"::1"]}]\n', "FieldValueInvalid", "endpoints[0].addresses[1]", "of type IPv4"),
    (SLICE + "addressType: FQDN\nendpoints: [{addresses: [^^10.0.0.1]}]\n", "FieldValueInvalid", "endpoints[0].addresses[0]", "of type FQDN"),
    (SLICE + "addressType: IPv4\nendpoints: [{addresses: ^^[]}]\n", "FieldValueRequired", "endpoints[0].addresses", "at least one"),
    (SLICE + 'addressType: IPv4\nendpoints: [{addresses: [10.0.0.1], conditions: {ready: ^^"true"}}]\n', "FieldValueTypeInvalid", "endpoints[0].conditions.ready", "must be true or false"),
    (SLICE + "addressType: IPv4\nports: [{port: 1}, {port: 2}]\n".replace("{port: 2}", "^^{port: 2}"), "FieldValueDuplicate", "ports[1].name", "another port"),
    (SLICE + "addressType: IPv4\nports: [{port: 1, name: ^^A}]\n", "FieldValueInvalid", "ports[0].name", "a DNS label"),
    (SLICE + f"addressType: IPv4\nports: ^^[{', '.join('{port: 1}' for _ in range(101))}]\n", "FieldValueTooMany", "ports", "at most 100 entries, not 101"),
    # Secret.
    (SECRET + "data: {a: ^^a-secret}\n", "FieldValueInvalid", "data.a", "must be base64. Encode it"),
    (SECRET + "data: {a: ^^12345}\n", "FieldValueTypeInvalid", "data.a", "must be a string, not a number"),
    (SECRET + "stringData: {a: ^^true}\n", "FieldValueTypeInvalid", "stringData.a", "must be a string, not a boolean"),
    (SECRET + "data: {a b: ^^YQ==}\n", "FieldValueInvalid", 'data["a b"]', "must have a name of letters"),
    (SECRET + "type: kubernetes.io/tls\ndata: ^^{tls.crt: YQ==}\n", "FieldValueRequired", 'data["tls.key"]', "kubectl create secret tls"),
    (SECRET + f"stringData: {{a: {'x' * (1 << 20)}}}\ndata: ^^{{b: YQ==}}\n", "FieldValueTooLong", "data", "1048576 bytes"),
    # BackendConfig.
    (BACKEND_CONFIG + "  timeoutSec: ^^-1\n", "FieldValueInvalid", "spec.timeoutSec", "between 0 and"),
    (BACKEND_CONFIG + "  connectionDraining: {drainingTimeoutSec: ^^3601}\n", "FieldValueInvalid", "spec.connectionDraining.drainingTimeoutSec", "between 0 and 3600, not 3601"),
    (BACKEND_CONFIG + "  sessionAffinity: {affinityType: ^^COOKIE}\n", "FieldValueNotSupported", "spec.sessionAffinity.affinityType", "NONE, CLIENT_IP, GENERATED_COOKIE"),
    (BACKEND_CONFIG + "  sessionAffinity: {affinityCookieTtlSec: ^^86401}\n", "FieldValueInvalid", "spec.sessionAffinity.affinityCookieTtlSec", "between 0 and 86400"),
    (BACKEND_CONFIG + "  customRequestHeaders: {headers: [^^abc]}\n", "FieldValueInvalid", "spec.customRequestHeaders.headers[0]", '"Name:value"'),
    (BACKEND_CONFIG + '  customRequestHeaders: {headers: ["a:b", ^^"A:c"]}\n', "FieldValueDuplicate", "spec.customRequestHeaders.headers[1]", "set twice"),
    (BACKEND_CONFIG + '  customResponseHeaders: {headers: [^^"Connection:close"]}\n', "FieldValueForbidden", "spec.customResponseHeaders.headers[0]", "keeps for itself"),
    (BACKEND_CONFIG + '  customResponseHeaders: {headers: [^^"a:\\r\\nb: c"]}\n', "FieldValueInvalid", "spec.customResponseHeaders.headers[0]", "control characters"),
    (BACKEND_CONFIG + "  healthCheck: {type: ^^GRPC}\n", "FieldValueNotSupported", "spec.healthCheck.type", "HTTP, HTTPS, HTTP2"),
    (BACKEND_CONFIG + '  healthCheck: {port: ^^"9091"}\n', "FieldValueTypeInvalid", "spec.healthCheck.port", 'port must be an integer, not the string "9091". Remove the quotes.'),
    (BACKEND_CONFIG + "  healthCheck: {checkIntervalSec: ^^0}\n", "FieldValueInvalid", "spec.healthCheck.checkIntervalSec", "between 1 and 300"),
    (BACKEND_CONFIG + "  healthCheck: {unhealthyThreshold: ^^11}\n", "FieldValueInvalid", "spec.healthCheck.unhealthyThreshold", "between 1 and 10"),
    (BACKEND_CONFIG + "  healthCheck: {checkIntervalSec: 5, timeoutSec: ^^6}\n", "HealthCheckTimeout", "spec.healthCheck.timeoutSec", "6 is more than 5"),
    (BACKEND_CONFIG + "  healthCheck: {requestPath: ^^healthz}\n", "FieldValueInvalid", "spec.healthCheck.requestPath", 'Write "/healthz"'),
    (BACKEND_CONFIG + "  logging: {sampleRate: ^^1.5}\n", "FieldValueInvalid", "spec.logging.sampleRate", "between 0 and 1, not 1.5"),
    (BACKEND_CONFIG + "  logging: {sampleRate: ^^.nan}\n", "FieldValueInvalid", "spec.logging.sampleRate", "finite"),
    (BACKEND_CONFIG + "  iap: {enabled: ^^true}\n  cdn: {enabled: true}\n", "FieldValueInvalid", "spec.iap.enabled", "together with cdn"),
    (BACKEND_CONFIG + "  cdn: {negativeCachingPolicy: [{code: ^^500}]}\n", "FieldValueInvalid", "spec.cdn.negativeCachingPolicy[0].code", "must be one of 300"),
    (BACKEND_CONFIG + "  ^^healthcheck: {}\n", "UnknownField", "spec.healthcheck", "Did you mean healthCheck?"),
    (BACKEND_CONFIG.replace("v1", "v1beta1") + "  logging: ^^{}\n", "UnknownField", "spec.logging", "Use apiVersion: cloud.google.com/v1."),
    # FrontendConfig.
    (FRONTEND_CONFIG + "  redirectToHttps: {responseCodeName: ^^SEE_OTHER}\n", "FieldValueNotSupported", "spec.redirectToHttps.responseCodeName", "PERMANENT_REDIRECT"),
    (FRONTEND_CONFIG + "  ^^redirectToHTTPS: {}\n", "UnknownField", "spec.redirectToHTTPS", "Did you mean redirectToHttps?"),
    # ManagedCertificate.
    (CERTIFICATE + "  domains: ^^[]\n", "FieldValueRequired", "spec.domains", "at least one"),
    (CERTIFICATE + "  domains: ^^a.b\n", "FieldValueTypeInvalid", "spec.domains", 'begins with "- "'),
    (CERTIFICATE + '  domains: [^^"*.a.com"]\n', "FieldValueInvalid", "spec.domains[0]", "no wildcards"),
    (CERTIFICATE + "  domains: [a.com, ^^A.com]\n", "FieldValueInvalid", "spec.domains[1]", 'lower case: "a.com"'),
    (CERTIFICATE + f"  domains: [^^{'a' * 60}.com]\n", "FieldValueTooLong", "spec.domains[0]", "63 characters, not 64"),
    (CERTIFICATE + f"  domains: ^^[{', '.join(['a.com'] * 101)}]\n", "FieldValueTooMany", "spec.domains", "at most 100"),
    # IngressClass.
    ("apiVersion: networking.k8s.io/v1\nkind: IngressClass\nmetadata: {name: a, namespace: ^^b}\n", "FieldValueForbidden", "metadata.namespace", "has no namespace"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "reason", "path", "words"), CASES, ids=[f"{c[2]}-{n}" for n, c in enumerate(CASES)])
def test_a_wrong_field_is_explained(text: str, reason: str, path: str, words: str) -> None:
    """One mistake is one diagnostic with its reason, its path, its exact place and the words that help."""
    diagnostics, place = diagnose(text)

    assert [(reason, path)] == [(d.reason, d.path) for d in diagnostics]
    [diagnostic] = diagnostics
    assert diagnostic.position == place
    assert words in f"{diagnostic.message} {diagnostic.fix}"
    assert diagnostic.object is not None or "name" in path


@pytest.mark.parametrize(
    ("text", "severity", "objects"),
    [
        (GOOD_INGRESS + "  foo: 1\n", Severity.WARNING, 1),
        (SERVICE + "  foo: 1\n" + PORTS, Severity.WARNING, 1),
        (SLICE + "addressType: IPv4\nfoo: 1\n", Severity.WARNING, 1),
        (SECRET + "foo: 1\n", Severity.WARNING, 1),
        (BACKEND_CONFIG + "  foo: 1\n", Severity.ERROR, 0),
        (FRONTEND_CONFIG + "  foo: 1\n", Severity.ERROR, 0),
        (CERTIFICATE + "  domains: [a.com]\n  foo: 1\n", Severity.ERROR, 0),
        (BACKEND_CONFIG.replace("name: a}", "name: a, foo: 1}") + "  timeoutSec: 1\n", Severity.WARNING, 1),
    ],
)
def test_an_unknown_field_is_an_error_where_gke_is_strict(text: str, severity: Severity, objects: int) -> None:
    """Core kinds only warn and keep the object; GKE's kinds refuse it; metadata is the API server's and only warns."""
    loaded = load_documents(text.encode(), "f.yaml")

    assert [(d.severity, d.reason) for d in loaded.diagnostics] == [(severity, reasons.UNKNOWN_FIELD)]
    assert len(loaded.objects) == objects


def test_all_mistakes_of_an_object_are_collected() -> None:
    """Four mistakes in one object are four diagnostics; the object is refused and named."""
    text = BACKEND_CONFIG.replace("name: a", "name: A") + "  timeoutSec: x\n  foo: 1\n  healthCheck: {port: 0}\n"
    loaded = load_documents(text.encode(), "f.yaml")

    assert [d.path for d in loaded.diagnostics] == [
        "metadata.name",
        "spec.timeoutSec",
        "spec.foo",
        "spec.healthCheck.port",
    ]
    assert [str(ref) for ref in loaded.refused] == ["BackendConfig default/A"]
    assert loaded.objects == ()


def test_backends_of_the_removed_version_are_explained() -> None:
    """The diagnostic for serviceName and servicePort says what to write instead."""
    text = INGRESS + "  backend: {serviceName: a, servicePort: 80}\n"
    loaded = load_documents(text.encode(), "f.yaml")
    assert "defaultBackend" in loaded.diagnostics[0].fix

    text = INGRESS + "  defaultBackend: {serviceName: a, servicePort: 80}\n"
    loaded = load_documents(text.encode(), "f.yaml")
    assert ["service.name" in d.fix or "service.port" in d.fix for d in loaded.diagnostics] == [True, True, False]


@pytest.mark.parametrize(
    "text",
    [
        "data: {k: sesame-1}",
        "data: {k: [sesame-1]}",
        "stringData: {k: {a: sesame-1}}",
        "data: {k: sesame-1, k: sesame-1}",
    ],
)
def test_a_secrets_values_are_in_no_message(text: str) -> None:
    """Whatever is wrong with a Secret, no message contains its values."""
    loaded = load_documents((SECRET + text).encode(), "f.yaml")

    assert loaded.diagnostics
    assert "sesame" not in repr(loaded.diagnostics)


def test_a_secrets_values_are_in_no_repr() -> None:
    """A Secret prints the names and sizes of its values; the code can read the values themselves."""
    text = SECRET + "data: {a: b3Blbi1zZXNhbWU=}\nstringData: {b: open-sesame, a: other-sesame}\n"
    loaded = load_documents(text.encode(), "f.yaml")
    [secret] = loaded.objects
    assert isinstance(secret, Secret)

    assert (
        "sesame"
        not in f"{loaded!r} {secret} {secret.values['a']} {secret.values['a']:>40} {secret.values['a']!s} {dict(secret.values)}"
    )
    assert secret.values == {"a": b"other-sesame", "b": b"open-sesame"}


def test_the_secrets_of_a_backend_config_are_in_no_repr() -> None:
    """An OAuth client's secret and a signing key are redacted as a Secret's values are."""
    text = BACKEND_CONFIG + textwrap.dedent(
        """\
          iap: {enabled: true, oauthclientCredentials: {clientID: me, clientSecret: open-sesame}}
          cdn: {signedUrlKeys: [{keyName: a, keyValue: open-sesame}]}
        """
    ).replace("iap", "  iap").replace("cdn", "  cdn")
    loaded = load_documents(text.encode(), "f.yaml")

    assert len(loaded.objects) == 1
    assert "sesame" not in repr(loaded)


@pytest.mark.parametrize(
    "text",
    [
        GOOD_INGRESS.replace("a.example.com", '"*.example.com"'),
        GOOD_INGRESS.replace("path: /, pathType: Prefix", "pathType: ImplementationSpecific"),
        GOOD_INGRESS.replace("{number: 80}", "{number: 80.0}"),
        GOOD_INGRESS.replace("metadata: {name: a}", "metadata: {name: a, creationTimestamp: null, annotations: null}"),
        SERVICE + "  clusterIP: None\n",
        SERVICE + "  type: ExternalName\n  externalName: a.b\n",
        SERVICE + "  ports: [{port: 80, protocol: TCP, name: a}, {port: 80, protocol: UDP, name: b}]\n",
        SLICE + 'addressType: IPv6\nendpoints: [{addresses: ["fd00::1"]}]\n',
        SECRET + "data: {a: |\n    YWJj\n    ZGVm\n  }\n".replace("{a: |", "\n  a: |").replace("  }\n", ""),
        SECRET + "data: {a: null}\n",
        BACKEND_CONFIG.replace("v1", "v1beta1") + "  timeoutSec: 40\n",
        BACKEND_CONFIG + "  logging: {enable: true, sampleRate: 1}\n",
        BACKEND_CONFIG.replace("spec:\n", ""),
        BACKEND_CONFIG + "  healthCheck: {checkIntervalSec: 5, timeoutSec: 5}\n",
        CERTIFICATE + "  domains: [a.com]\nstatus: {domainStatus: 5, foo: 1}\n",
    ],
)  # fmt: skip
def test_values_that_kubernetes_accepts_are_accepted(text: str) -> None:
    """Values close to the limits of the rules are accepted."""
    loaded = load_documents(text.encode(), "f.yaml")

    assert loaded.diagnostics == ()
    assert len(loaded.objects) == 1


def test_the_annotation_keys_are_those_of_gke() -> None:
    """A key that is misspelt here would have no effect anywhere."""
    assert keys.APP_PROTOCOLS == "cloud.google.com/app-protocols"
    assert keys.BACKEND_CONFIG == "cloud.google.com/backend-config"
    assert keys.NEG == "cloud.google.com/neg"
    assert keys.MANAGED_CERTIFICATES == "networking.gke.io/managed-certificates"
    assert keys.FRONTEND_CONFIG == "networking.gke.io/v1beta1.FrontendConfig"
    assert keys.ALLOW_HTTP == "kubernetes.io/ingress.allow-http"
