"""The limits of one Ingress in shared resources: each limit is applied, and items within it are served."""

from __future__ import annotations

import base64
import dataclasses
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from kiteway.cli.values import parse_namespace_limits
from kiteway.controlplane.config import Config
from kiteway.diagnostics import ObjectRef, Severity
from kiteway.envoy.settings import EnvoySettings
from kiteway.resources import load_documents
from kiteway.translate import Options, Result, Translator, translate
from kiteway.translate.shared import limits
from tests.golden.inputs import NOW, Translated, translate_text
from tests.support.certificates import issue
from tests.support.ingresses import ingress, secret, service, text


def translate_documents(*documents: dict[str, Any]) -> Translated:
    """Translate manifests, and a Service that they can name."""
    return translate_text(text(service(), *documents), "test.yaml")


def _within(most: limits.NamespaceLimits, *documents: dict[str, Any]) -> Result:
    """Translate with other limits for namespaces than the default."""
    loaded = load_documents(text(service(), service("other"), *documents), "test.yaml")
    assert not [d for d in loaded.diagnostics if d.severity is Severity.ERROR]
    return translate(loaded.objects, Options(namespace_limits=most), NOW)


def reasons_of(translated: Translated) -> list[str]:
    """Return the reasons of the diagnostics."""
    return [diagnostic.reason for diagnostic in translated.diagnostics]


def authority_of_names(length: int) -> str:
    """Return CAs of at least ``length`` bytes, in base64."""
    pem = b""
    while len(pem) < length:
        pem += issue(cn=f"CA {len(pem)}", ca=True).crt
    return base64.b64encode(pem).decode()


def _with_paths(count: int, *, host: str | None = "a.example.com", start: int = 0) -> dict[str, Any]:
    """Return an Ingress with ``count`` paths of one host."""
    found = ingress("a", [host], ["server"])
    (rule,) = found["spec"]["rules"]
    (path,) = rule["http"]["paths"]
    rule["http"]["paths"] = [{**path, "path": f"/p{number}"} for number in range(start, start + count)]
    return found


SERVER = secret("server", issue("a.example.com"))


def test_paths_up_to_the_most_are_served() -> None:
    """An Ingress with as many paths as allowed gets no diagnostic, and all paths have routes."""
    translated = translate_documents(_with_paths(limits.MOST_PATHS), SERVER)

    assert "PathsTooMany" not in reasons_of(translated)
    assert len(translated.model.hosts[0].routes) == limits.MOST_PATHS


def test_paths_after_the_most_are_left_out() -> None:
    """The paths of all rules count together; there is one diagnostic, at the first path that is left out."""
    both = _with_paths(limits.MOST_PATHS - 10)
    both["spec"]["rules"] += _with_paths(20, host="b.example.com", start=7000)["spec"]["rules"]
    both["spec"]["rules"] += _with_paths(20, host="c.example.com")["spec"]["rules"]
    translated = translate_documents(both, SERVER)

    assert [len(host.routes) for host in translated.model.hosts] == [limits.MOST_PATHS - 10, 10, 0]
    (told,) = [d for d in translated.diagnostics if d.reason == "PathsTooMany"]
    assert told.path == "spec.rules[1].http.paths[10].path"


def test_rules_after_the_most_are_left_out() -> None:
    """Of too many rules the first are served."""
    hosts = [f"h{number}.example.com" for number in range(limits.MOST_RULES + 1)]
    translated = translate_documents(ingress("a", hosts, ["server"]), SERVER)

    assert "RulesTooMany" in reasons_of(translated)
    assert {host.domain for host in translated.model.hosts} == set(hosts[:-1])


def test_headers_of_many_paths() -> None:
    """Headers count for each path that has them: those of the paths after a megabyte are left out."""
    config = {
        "apiVersion": "cloud.google.com/v1",
        "kind": "BackendConfig",
        "metadata": {"name": "config"},
        "spec": {"customRequestHeaders": {"headers": [f"x:{'v' * 7999}"]}},
    }
    backend = service(annotations={"cloud.google.com/backend-config": '{"default": "config"}'}, name="other")
    many = _with_paths(200)
    for path in many["spec"]["rules"][0]["http"]["paths"]:
        path["backend"] = {"service": {"name": "other", "port": {"number": 19530}}}
    translated = translate_documents(many, SERVER, backend, config)

    with_headers = [bool(route.request_headers) for route in translated.model.hosts[0].routes]
    assert with_headers.count(True) == limits.LONGEST_HEADER_COPIES // 8000
    assert reasons_of(translated).count("HeaderCopiesTooMany") == 1


def _ingresses(*years: int, namespace: str = "default") -> list[dict[str, Any]]:
    """Return an Ingress with two hosts, a path each and a certificate, made in each of ``years``."""
    return [
        ingress(
            f"y{year}",
            [f"{letter}{year}.{namespace}.example.com" for letter in "ab"],
            ["server"],
            namespace,
            created=f"{year}-01-01T00:00:00Z",
        )
        for year in years
    ]


@pytest.mark.parametrize(
    ("most", "what"),
    [
        (limits.NamespaceLimits(hosts=5), "hosts"),
        (limits.NamespaceLimits(paths=5), "paths"),
        (limits.NamespaceLimits(certificates=2), "certificates"),
        (limits.NamespaceLimits(bytes=5 * len(SERVER["stringData"]["tls.crt"])), "bytes"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_namespace_that_claims_too_much(most: limits.NamespaceLimits, what: str) -> None:
    """
    The oldest Ingresses are served, the newest is refused with a diagnostic, and other namespaces are not
    affected.
    """
    other = secret("server", issue("a.example.com"), "other")
    result = _within(most, *_ingresses(2024, 2022, 2023), *_ingresses(2025, namespace="other"), SERVER, other)

    served = {host.source.name for host in result.model.hosts}
    assert served == {"y2022", "y2023", "y2025"}
    (told,) = [d for d in result.diagnostics if d.reason == "NamespaceLimit"]
    assert told.object == ObjectRef("Ingress", "default", "y2024")
    assert f"--namespace-limit {what}=" in told.fix


def _solver(number: int) -> dict[str, Any]:
    """Return a solver of cert-manager for the first host of an Ingress that `_ingresses` made for 2022."""
    path = {
        "path": f"/.well-known/acme-challenge/t{number}",
        "pathType": "Exact",
        "backend": {"service": {"name": "milvus", "port": {"number": 19530}}},
    }
    made = ingress(f"s{number}", ["a2022.default.example.com"], [], created=f"2026-01-01T00:00:{number:02}Z")
    made["metadata"]["labels"] = {"acme.cert-manager.io/http01-solver": "true"}
    made["spec"]["rules"][0]["http"]["paths"] = [path]
    return made


def test_challenges_count_apart() -> None:
    """A certificate can be renewed in a namespace without room for another host; the number of challenges has a limit too."""
    most = limits.NamespaceLimits(hosts=2, paths=2, challenges=3)
    result = _within(most, *_ingresses(2022), *map(_solver, range(5)), SERVER)

    assert [len(host.routes) for host in result.model.hosts] == [4, 1]
    told = [d for d in result.diagnostics if d.reason == "NamespaceLimit"]
    assert [d.object.name for d in told if d.object] == ["s3", "s4"]
    assert "--namespace-limit challenges=4" in told[0].fix


def test_a_wildcard_is_no_host_of_a_solver() -> None:
    """HTTP-01 is for no wildcard, and one takes all names below it from the other hosts: it counts as a host."""
    wild = _solver(0)
    wild["spec"]["rules"][0]["host"] = "*.default.example.com"
    result = _within(limits.NamespaceLimits(hosts=2), *_ingresses(2022), wild, SERVER)

    assert sorted(host.domain for host in result.model.hosts) == [
        "a2022.default.example.com",
        "b2022.default.example.com",
    ]
    (told,) = [d for d in result.diagnostics if d.reason == "NamespaceLimit"]
    assert told.object == ObjectRef("Ingress", "default", "s0")


def test_an_object_that_is_edited_beyond_the_limit_keeps_its_last_form() -> None:
    """The last form counts, so that no other object gets its room; when the new form fits, that is served."""
    translator, most = Translator(), Options(namespace_limits=limits.NamespaceLimits(hosts=4))

    def served(*documents: dict[str, Any]) -> tuple[list[str], Result]:
        loaded = load_documents(text(service(), SERVER, *documents), "test.yaml")
        result = translator.translate(loaded.objects, most, NOW)
        return sorted(host.domain for host in result.model.hosts), result

    def edited(letters: str) -> dict[str, Any]:
        return ingress(
            "edited", [f"{letter}.example.com" for letter in letters], ["server"], created="2022-01-01T00:00:00Z"
        )

    late = "2025-01-01T00:00:00Z"
    other = ingress("other", ["x.example.com", "y.example.com"], ["server"], created=late)
    third = ingress("third", ["z.example.com"], ["server"], created=late)
    hosts, result = served(edited("ab"), other)
    assert (len(hosts), [d for d in result.diagnostics if d.severity is Severity.ERROR]) == (4, [])

    for _ in range(2):
        hosts, result = served(edited("abcde"), other, third)
        assert hosts == ["a.example.com", "b.example.com", "x.example.com", "y.example.com"]
        assert result.retained == (ObjectRef("Ingress", "default", "edited"),)
        told = {d.object.name: d.message for d in result.diagnostics if d.reason == "NamespaceLimit" and d.object}
        assert "stays in force" in told["edited"]
        assert "is not served" in told["third"]

    assert served(edited("abcde"))[0] == ["a.example.com", "b.example.com"]
    hosts, result = served(edited("abcd"))
    assert (len(hosts), result.retained) == (4, ())


@pytest.mark.parametrize("closed", [False, True], ids=["open", "closed since"])
def test_an_object_that_is_edited_beyond_the_limit_of_bytes_keeps_its_last_form(*, closed: bool) -> None:
    """As with hosts. What it requires of clients since holds for the last form too."""
    authority = authority_of_names(1)
    ca = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "ca"}, "data": {"ca.crt": authority}}
    length = len(SERVER["stringData"]["tls.crt"]) + len(base64.b64decode(authority))
    translator, most = Translator(), Options(namespace_limits=limits.NamespaceLimits(bytes=5 * length))
    notes = {"kiteway.io/client-ca-secret": "ca"}

    def served(letters: str, *, asks: bool = False) -> Result:
        hosts = [f"{letter}.example.com" for letter in letters]
        made = "2022-01-01T00:00:00Z"
        edited = ingress("edited", hosts, ["server"], annotations=notes if asks else None, created=made)
        other = ingress("other", ["x.example.com"], ["server"], created="2025-01-01T00:00:00Z")
        return translator.translate(
            load_documents(text(service(), SERVER, ca, edited, other), "test.yaml").objects, most, NOW
        )

    assert served("ab").retained == ()
    for _ in range(2):
        result = served("abcdefghijklmnop", asks=closed)
        assert [host.domain for host in result.model.hosts] == ["a.example.com", "b.example.com", "x.example.com"]
        assert [host.own_connections for host in result.model.hosts] == [closed, closed, False]
        assert result.retained == (ObjectRef("Ingress", "default", "edited"),)
        [told] = [d.message for d in result.diagnostics if d.reason == "NamespaceLimit"]
        assert "bytes" in told
        assert "stays in force" in told
    assert len(served("abc", asks=closed).model.hosts) == 4


def test_a_namespace_with_room_again() -> None:
    """A refused Ingress is served when an older one is removed; one that is too large does not block a smaller one."""
    small = ingress("small", ["small.example.com"], ["server"], created="2025-01-01T00:00:00Z")
    most = limits.NamespaceLimits(hosts=5)

    assert {h.source.name for h in _within(most, *_ingresses(2022, 2023, 2024), small, SERVER).model.hosts} == {
        "y2022",
        "y2023",
        "small",
    }
    assert {h.source.name for h in _within(most, *_ingresses(2023, 2024), small, SERVER).model.hosts} == {
        "y2023",
        "y2024",
        "small",
    }


@pytest.mark.parametrize(
    "given", ["hosts", "hosts=", "hosts=0", "hosts=-1", "host=1", "hosts=1e3", "hosts=" + "9" * 40]
)
def test_a_limit_that_cannot_be_read(given: str) -> None:
    """The error says what is wrong with a limit, and gives an example."""
    with pytest.raises(ValueError, match="--namespace-limit is not WHAT=NUMBER"):
        parse_namespace_limits([given])


def test_limits_that_are_given() -> None:
    """The last value of each given limit counts; the others have their defaults."""
    assert parse_namespace_limits(["hosts=1", "hosts=7", "bytes=9"]) == limits.NamespaceLimits(hosts=7, bytes=9)


def test_the_chart_has_the_same_limits() -> None:
    """The chart's values are the defaults of the command."""
    values = yaml.safe_load((Path(__file__).parents[2] / "deploy/chart/values.yaml").read_text())

    assert values["controller"]["namespaceLimits"] == dataclasses.asdict(limits.NamespaceLimits())


def test_the_control_plane_is_told_the_limits() -> None:
    """They survive the file that the control plane is started with."""
    config = Config("/data", (), EnvoySettings(), namespace_limits=limits.NamespaceLimits(hosts=7))

    assert msgspec.convert(config.plain(), Config, dec_hook=lambda kind, value: kind(value)) == config
