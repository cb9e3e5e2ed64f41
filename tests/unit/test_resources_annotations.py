"""The values of annotations are read as GKE reads them, or give an explanation."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kiteway.resources import annotations as keys
from kiteway.resources.annotations import AppProtocol, BackendConfigRef, Neg
from kiteway.resources.schema import Violation

READERS: list[Callable[[str], object]] = [value for name, value in vars(keys).items() if name.startswith("parse_")]


@pytest.mark.parametrize(
    ("read", "text", "value"),
    [
        (keys.parse_app_protocols, '{"milvus":"HTTP2"}', {"milvus": AppProtocol.HTTP2}),
        (keys.parse_app_protocols, "{}", {}),
        (keys.parse_backend_config_ref, '{"default": "a"}', BackendConfigRef("a")),
        (keys.parse_backend_config_ref, '{"ports": {"milvus": "b"}}', BackendConfigRef("", {"milvus": "b"})),
        (keys.parse_neg, '{"ingress": true}', Neg(ingress=True)),
        (keys.parse_neg, "{}", Neg()),
        (keys.parse_neg, '{"exposed_ports":{"19530":{}}}', Neg(exposed_ports=frozenset({19530}))),
        (keys.parse_transparent_health_checker, '{"enabled":true}', True),
        (keys.parse_transparent_health_checker, "{}", False),
        (keys.parse_bool, "true", True),
        (keys.parse_bool, "T", True),
        (keys.parse_bool, "0", False),
        (keys.parse_names, "a, b,", ("a", "b")),
        (keys.parse_names, "", ()),
        (keys.parse_port, "8080", 8080),
        (keys.parse_port, "rest", "rest"),
    ],
)
def test_good_values_are_read(read: Callable[[str], object], text: str, value: object) -> None:
    """Each reader returns the annotation's value."""
    assert value == read(text)


@pytest.mark.parametrize(
    ("read", "text", "reason", "words"),
    [
        (keys.parse_app_protocols, "milvus:HTTP2", "AppProtocolAnnotation", "is not JSON"),
        (keys.parse_app_protocols, '["HTTP2"]', "AppProtocolAnnotation", "must be a JSON object"),
        (keys.parse_app_protocols, '{"milvus":"http2"}', "AppProtocolAnnotation", "Did you mean HTTP2?"),
        (keys.parse_app_protocols, '{"milvus":"GRPC"}', "AppProtocolAnnotation", "invalid port application protocol"),
        (keys.parse_app_protocols, '{"milvus":"GRPC"}', "AppProtocolAnnotation", 'Write {"milvus":"HTTP2"} for gRPC'),
        (keys.parse_app_protocols, '{"milvus":2}', "AppProtocolAnnotation", "is no string"),
        (keys.parse_backend_config_ref, "my-backendconfig", "BackendConfigInvalidJSON", "is not JSON"),
        (keys.parse_backend_config_ref, '{"default": 1}', "BackendConfigInvalidJSON", "must have a name"),
        (keys.parse_backend_config_ref, '{"ports": ["a"]}', "BackendConfigInvalidJSON", "must map ports"),
        (keys.parse_backend_config_ref, '{"default": "A"}', "BackendConfigInvalidJSON", "names a BackendConfig that must"),
        (keys.parse_backend_config_ref, "{}", "BackendConfigNoneFound", "names no BackendConfig"),
        (keys.parse_neg, '{"ingress": "true"}', "NEGAnnotationInvalid", "without quotes"),
        (keys.parse_neg, '{"exposed_ports": [1]}', "NEGAnnotationInvalid", "must map port numbers"),
        (keys.parse_neg, '{"exposed_ports": {"a": {}}}', "NEGAnnotationInvalid", "port numbers"),
        (keys.parse_neg, "[" * 100_000, "NEGAnnotationInvalid", "is not JSON"),
        (keys.parse_transparent_health_checker, '{"enabled": 1}', "THCAnnotationInvalid", "without quotes"),
        (keys.parse_bool, "yes", "FieldValueInvalid", 'must be true or false, not "yes". Write "true" or "false".'),
        (keys.parse_names, "a,B", "FieldValueInvalid", "names an object that must"),
        (keys.parse_port, "0", "FieldValueInvalid", "name or the number"),
        (keys.parse_port, "65536", "FieldValueInvalid", "or its number from 1 to 65535."),
    ],
)  # fmt: skip
def test_bad_values_are_explained(read: Callable[[str], object], text: str, reason: str, words: str) -> None:
    """Each mistake has GKE's reason and a sentence that helps."""
    violation = read(text)

    assert isinstance(violation, Violation)
    assert violation.reason == reason
    assert words in f"{violation.message} {violation.fix}"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inside: (
        st.lists(inside, max_size=3)
        | st.dictionaries(
            st.sampled_from(["default", "ports", "ingress", "exposed_ports", "80", "a"]), inside, max_size=3
        )
    ),
)


@given(st.text(max_size=100) | JSON.map(json.dumps))
def test_no_value_makes_a_reader_raise(text: str) -> None:
    """Arbitrary text and arbitrary JSON give a value or a violation."""
    for read in READERS:
        read(text)
