"""Manifests copied from a web page: the fix says what to type."""

from __future__ import annotations

import pytest
import yaml

from kiteway.resources import annotations as keys
from kiteway.resources.annotations import parse_app_protocols
from kiteway.resources.load import load_documents
from kiteway.resources.schema import Violation
from kiteway.resources.web_text import as_typed, hint

RIGHT = """cloud.google.com/app-protocols: '{"milvus":"HTTP2"}'"""
SERVICE = """apiVersion: v1
kind: Service
metadata:
  name: vec-milvus
  annotations:
    %s
spec:
  ports: [{name: milvus, port: 19530}]
"""


BAD_YAML = [
    "cloud.google.com/app-protocols: &#x27;{&quot;milvus&quot;:&quot;HTTP2&quot;}&#x27;",
    "cloud.google.com/app-protocols: &#39;{&#34;milvus&#34;:&#34;HTTP2&#34;}&#39;",
    "cloud.google.com/app-protocols:\u00a0\u2018{\uff02milvus\uff02:\uff02HTTP2\uff02}\u2019",
    'cloud.google.com/app-protocols\uff1a\'{"milvus":"HTTP2"}\'',
]
BAD_JSON = [
    "cloud.google.com/app-protocols: \u2018{\u201cmilvus\u201d:\u201cHTTP2\u201d}\u2019",
    "cloud.google.com/app-protocols: \u2019{\u201emilvus\u201c:\u00abHTTP2\u00bb}\u2019",
]


@pytest.mark.parametrize("line", BAD_YAML)
def test_the_fix_is_the_line_as_it_is_typed(line: str) -> None:
    """Entities, full-width characters and no-break spaces, for which YAML sees no key or no value, are put right."""
    [diagnostic] = load_documents((SERVICE % line).encode(), "f.yaml").diagnostics
    assert diagnostic.position is not None
    what = "full-width characters" if "\uff02" in line or "\uff1a" in line else "HTML entities of a web page"
    assert diagnostic.fix == f"The line has {what}; type: {RIGHT}"


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("spec:\n  ports\uff1a\n  - {name: milvus, port: 19530}", "ports:"),
        ("spec:\n  type\uff1a ClusterIP\n  ports: [{port: 19530}]", "type: ClusterIP"),
        (
            "spec:\n  type\uff1aClusterIP  # \u7c7b\u578b\uff1a\u5185\u90e8\n\n  # ports\n  ports: [{port: 19530}]",
            "type: ClusterIP",
        ),
    ],
)
def test_a_line_above_the_one_that_yaml_refuses_is_put_right(wrong: str, right: str) -> None:
    """A key with a full-width colon is text to YAML, which refuses a later line."""
    [diagnostic] = load_documents(f"apiVersion: v1\nkind: Service\n{wrong}\n".encode(), "f.yaml").diagnostics
    assert diagnostic.fix == f"The line above has full-width characters; type: {right}"


@pytest.mark.parametrize("space", ["\u3000", "\u00a0"])
def test_an_indentation_that_is_no_spaces_is_named(space: str) -> None:
    """An input method's space looks like two, and YAML takes it for the start of a text."""
    text = f"apiVersion: v1\nkind: Service\nspec:\n{space} type: ClusterIP\n  ports: [{{port: 19530}}]\n"
    [diagnostic] = load_documents(text.encode(), "f.yaml").diagnostics
    assert diagnostic.fix == "The line above is indented with full-width or no-break spaces: type ordinary ones."


@pytest.mark.parametrize(
    "above", ["  name: \u201cmilvus\u201d", "# \u5907\u6ce8\uff1amilvus", "  name: milvus  # \u540d\u5b57\uff1amilvus"]
)
def test_a_good_line_above_keeps_the_fix_of_the_wrong_one(above: str) -> None:
    """A key like any other, and what a comment says, are not the mistake."""
    [diagnostic] = load_documents(f"metadata:\n{above}\n  labels: a: b\n".encode(), "f.yaml").diagnostics
    assert "The line" not in diagnostic.fix


@pytest.mark.parametrize("line", BAD_YAML + BAD_JSON)
def test_a_line_is_put_right(line: str) -> None:
    """Each becomes what the guide has, the typographic quotes of several languages, too."""
    assert as_typed(line) == RIGHT


@pytest.mark.parametrize("line", ["rules: - host: vec.acme-labs.example", "  paths: - path: /"])
def test_lost_line_breaks_are_named(line: str) -> None:
    """A manifest that a page flattened is not to be repaired by hand."""
    assert "line breaks and the indentation are lost" in hint(line)
    [diagnostic] = load_documents(f"spec:\n{line}\n".encode(), "f.yaml").diagnostics
    assert "line breaks and the indentation are lost" in diagnostic.fix


@pytest.mark.parametrize(
    "line",
    [
        "a: b: c",
        "a: 'x",
        "description: Bed & breakfast",
        "host: caf\u00e9.example",
        "a: b: c  # \u7aef\u53e3\uff1a\u4e24\u4e2a",
    ],
)
def test_an_ordinary_line_is_not_taken_for_a_copy(line: str) -> None:
    """A mistake without such characters, and letters of other languages, keep their own fix."""
    assert hint(line) == ""


@pytest.mark.parametrize(
    "text",
    [
        "{\u201cmilvus\u201d:\u201cHTTP2\u201d}",
        "{&quot;milvus&quot;:&quot;HTTP2&quot;}",
        '\u2018{"milvus":"HTTP2"}\u2019',
    ],
)
def test_a_value_that_yaml_takes_is_put_right_too(text: str) -> None:
    """A quoted annotation is YAML whatever is in it; its JSON is given as it is typed."""
    found = parse_app_protocols(text)
    assert isinstance(found, Violation)
    assert found.fix == """Type its quotes and punctuation in ASCII: '{"milvus":"HTTP2"}'."""


NEG_EXAMPLE = """Write it as JSON, in quotes: '{"ingress": true}'."""


@pytest.mark.parametrize(
    ("key", "value", "fix"),
    [
        (keys.NEG, {"ingress": True}, """Quote it: '{"ingress": true}'."""),
        (keys.NEG, {"a": "it's"}, "Quote it."),
        (keys.NEG, {"a": "x" * 300}, "Quote it."),
        (keys.NEG, True, NEG_EXAMPLE),
        (keys.NEG, ["ingress"], NEG_EXAMPLE),
        (keys.NEG, {"ingress": "yes"}, NEG_EXAMPLE),
        (keys.APP_PROTOCOLS, {"milvus": "HTTP2"}, """Quote it: '{"milvus": "HTTP2"}'."""),
        (keys.APP_PROTOCOLS, ["milvus", "HTTP2"], """Write it as JSON, in quotes: '{"milvus":"HTTP2"}'."""),
        (keys.BACKEND_CONFIG, 1, """Write it as JSON, in quotes: '{"default": "my-backendconfig"}'."""),
        (keys.REST_PORT, ["a", "b"], """Quote it: '["a", "b"]'."""),
        (keys.REST_PORT, False, 'Quote it: "false".'),
        (keys.REST_PORT, 600, 'Quote it: "600".'),
    ],
)
def test_an_annotation_without_quotes_is_told_how_it_is_quoted(key: str, value: object, fix: str) -> None:
    """The fix has the value in quotes, unless it is long, has such quotes itself, or would be refused in quotes too."""
    text = yaml.safe_dump(yaml.safe_load(SERVICE % "a: b") | {"metadata": {"name": "a", "annotations": {key: value}}})
    [diagnostic] = load_documents(text.encode(), "f.yaml").diagnostics
    assert (diagnostic.reason, diagnostic.fix) == ("FieldValueTypeInvalid", fix)


@pytest.mark.parametrize("field", ["data", "stringData"])
def test_a_secrets_value_is_in_no_fix(field: str) -> None:
    """What stands in a Secret is never repeated."""
    manifest = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}, field: {"password": {"pin": 123456}}}
    [diagnostic] = load_documents(yaml.safe_dump(manifest).encode(), "f.yaml").diagnostics
    assert "123456" not in str(diagnostic)
