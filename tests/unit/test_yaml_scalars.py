"""Plain scalars have the values that kubectl reads."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kiteway.resources.scalars import resolve, resolve_tagged


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("19530", 19530),
        ("-1", -1),
        ("+80", 80),
        ("0644", 420),
        ("0o644", 420),
        ("08", 8.0),
        ("0x1F", 31),
        ("-0b11", -3),
        ("1_000", 1000),
        ("1.5", 1.5),
        (".5", 0.5),
        ("1e3", 1000.0),
        ("y", True),
        ("Yes", True),
        ("on", True),
        ("n", False),
        ("OFF", False),
        ("~", None),
        ("", None),
        ("Null", None),
        (".inf", math.inf),
        ("yEs", "yEs"),
        ("1:30", "1:30"),
        ("1.2.3", "1.2.3"),
        ("2024-05-01", "2024-05-01"),
        ("2024-05-01T12:00:00Z", "2024-05-01T12:00:00Z"),
        ("1e999", "1e999"),
        ("0x", "0x"),
        ("+", "+"),
        ("9" * 5000, "9" * 5000),
        ("10.0.0.1", "10.0.0.1"),
    ],
)
def test_plain_scalars_resolve_as_kubectl_does(text: str, value: object) -> None:
    """YAML 1.1 booleans, octal and underscores; no base 60, no timestamps."""
    assert (value, type(value)) == (resolve(text), type(resolve(text)))


@given(st.text(max_size=200))
def test_resolving_never_raises(text: str) -> None:
    """Every scalar has a value."""
    assert isinstance(resolve(text), str | int | float | None)


def test_standard_tags_convert_and_others_are_refused() -> None:
    """!!str keeps text, !!float takes an integer; a tag that does not fit or is not JSON's raises ValueError."""
    prefix = "tag:yaml.org,2002:"

    assert resolve_tagged(prefix + "str", "80") == "80"
    assert resolve_tagged(prefix + "int", "80") == 80
    assert isinstance(resolve_tagged(prefix + "float", "80"), float)
    for tag, text in [("int", "x"), ("bool", "1"), ("binary", "YQ=="), ("python/name:os.system", "")]:
        with pytest.raises(ValueError, match=tag):
            resolve_tagged(prefix + tag, text)
