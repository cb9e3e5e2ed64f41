"""From bytes to documents; an unreadable part is reported with its position and does not affect other documents."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kiteway.resources import reasons
from kiteway.resources.compose import Document, Fault
from kiteway.resources.limits import DEFAULT, Limits
from kiteway.resources.yaml import parse


def values(text: bytes, limits: Limits = DEFAULT) -> list[object]:
    """Return the values of the documents, None for empty ones."""
    return [found.value for found in parse(text, limits) if isinstance(found, Document)]


def faults(text: bytes, limits: Limits = DEFAULT) -> list[Fault]:
    """Return all faults, those inside documents included."""
    found: list[Fault] = []
    for part in parse(text, limits):
        found.extend([part] if isinstance(part, Fault) else part.faults)
    return found


def only_fault(text: bytes, limits: Limits = DEFAULT) -> tuple[str, int, int]:
    """Return reason, line and column of the one fault of a text."""
    [fault] = faults(text, limits)
    return fault.reason, fault.at >> 32, fault.at & 0xFFFFFFFF


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"", []),
        (b"# only a comment\n", []),
        (b"---\n---\n", [None, None]),
        (b"a: 1\n---\nb: 2\n", [{"a": 1}, {"b": 2}]),
        (b"a: 1\r\n---\r\nb: 2\r\n", [{"a": 1}, {"b": 2}]),
        (b"a: 1\n...\n---\nb: 2\n", [{"a": 1}, {"b": 2}]),
        (b"\xef\xbb\xbfa: 1\n\xef\xbb\xbf---\nb: 2\n", [{"a": 1}, {"b": 2}]),
        (b'{\n\t"a": [1, true, null, "x\\/y"]\n}\n', [{"a": [1, True, None, "x/y"]}]),
        (b"a: \"1\"\nb: 'true'\nc: !!str 1\n", [{"a": "1", "b": "true", "c": "1"}]),
        (b"80: a\non: b\n1.5: c\n", [{"80": "a", "true": "b", "1.5": "c"}]),
        (b"a: |\n  -----BEGIN\n  ---\n", [{"a": "-----BEGIN\n---\n"}]),
        (b"a: &x [1]\nb: *x\n", [{"a": [1], "b": [1]}]),
        (b"a: &x {p: 1, q: 2}\nb: {<<: *x, q: 3}\n", [{"a": {"p": 1, "q": 2}, "b": {"q": 3, "p": 1}}]),
        (
            b"a: &x {p: 1}\nb: &z {p: 2, q: 3}\nc: {<<: [*x, *z]}\n",
            [{"a": {"p": 1}, "b": {"p": 2, "q": 3}, "c": {"p": 1, "q": 3}}],
        ),
        (b"&k a: 1\nb: *k\n", [{"a": 1, "b": "a"}]),
        (b"'<<': 1\n", [{"<<": 1}]),
    ],
)
def test_documents_have_the_values_of_json(text: bytes, expected: list[object]) -> None:
    """
    Separators, line ends, byte order marks, JSON, quotes, keys, anchors and merges are read as kubectl reads
    them.
    """
    assert expected == [{str(k): v for k, v in d.items()} if isinstance(d, dict) else d for d in values(text)]
    assert faults(text) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"a: 1\nb: [1\n", (reasons.YAML_SYNTAX, 3, 1)),
        (b"a: 1\r\n---\r\nb: \x00\r\n", (reasons.CONTROL_CHARACTER, 3, 4)),
        (b"a: 1\r---\rb: \x00\r", (reasons.CONTROL_CHARACTER, 3, 4)),
        (b"a:\n\t- 1\n", (reasons.YAML_SYNTAX, 2, 1)),
        (b"a: b: c\n", (reasons.YAML_SYNTAX, 1, 5)),
        (b"a: 1\nb: x\xff\n", (reasons.INVALID_ENCODING, 2, 5)),
        (b"\xff\xfea\x00", (reasons.INVALID_ENCODING, 1, 1)),
        (b"a: 1\nb: \x00\n", (reasons.CONTROL_CHARACTER, 2, 4)),
        (b"a: 1\n---\nb: *x\n", (reasons.UNDEFINED_ALIAS, 3, 4)),
        (b"a: &x 1\n---\nb: *x\n", (reasons.UNDEFINED_ALIAS, 3, 4)),
        (b"a: &x [*x]\n", (reasons.RECURSIVE_ALIAS, 1, 8)),
        (b"a: 1\nb: 2\na: 3\n", (reasons.DUPLICATE_KEY, 3, 1)),
        (b"80: 1\n'80': 3\n", (reasons.DUPLICATE_KEY, 2, 1)),
        (b"a: {? [b] : c}\n", (reasons.INVALID_KEY, 1, 7)),
        (b"~: 1\n", (reasons.INVALID_KEY, 1, 1)),
        (b"a: &x [1]\n*x : 1\n", (reasons.INVALID_KEY, 2, 1)),
        (b"a: 1\n<<: 5\n", (reasons.INVALID_MERGE, 2, 1)),
        (b"a: !!python/object/apply:os.system [id]\n", (reasons.UNKNOWN_TAG, 1, 4)),
        (b"a: !secret b\n", (reasons.UNKNOWN_TAG, 1, 4)),
        (b"a: !!int b\n", (reasons.UNKNOWN_TAG, 1, 4)),
        (b"a: " + b"[" * 65, (reasons.DOCUMENT_TOO_LARGE, 1, 67)),
    ],
)
def test_a_mistake_has_a_reason_and_its_place(text: bytes, expected: tuple[str, int, int]) -> None:
    """Every mistake in the text is one fault at its line and column."""
    assert expected == only_fault(text)


def test_a_document_that_cannot_be_read_costs_no_other() -> None:
    """A syntax error, a NUL and bytes that are not UTF-8 do not affect the documents around them."""
    text = b"a: 1\n---\nb: [\n---\nc: 3\n---\nd: \x00\n---\ne: \xff\n---\nf: 6\n"

    assert values(text) == [{"a": 1}, {"c": 3}, {"f": 6}]
    assert [fault.at >> 32 for fault in faults(text)] == [4, 7, 9]


def test_a_duplicate_key_names_both_places() -> None:
    """The message has the position of the first key, whose value stays."""
    [document] = parse(b"a: 1\nb:\n  c: 2\n  c: 3\n")

    assert isinstance(document, Document)
    assert document.value == {"a": 1, "b": {"c": 2}}
    assert "first at line 3, column 3" in document.faults[0].message
    assert document.faults[0].path == ("b",)


@pytest.mark.parametrize("text", [b"password: !Hunter2 x\n", b"password: *Hunter2\n", b"password: !!Hunter2 x\n"])
def test_a_password_that_looks_like_yaml_stays_secret(text: bytes) -> None:
    """No message contains an unquoted value that YAML reads as a tag or an alias."""
    [fault] = faults(text)

    assert "Hunter2" not in fault.message + fault.fix


def test_a_template_is_recognised() -> None:
    """For a chart's template the fix says to render it."""
    [fault] = faults(b"metadata:\n  name: {{ .Release.Name }}\n")

    assert "helm template" in fault.fix


def test_a_billion_laughs_is_one_fault() -> None:
    """Nested aliases are counted with everything that they expand to, before anything is copied."""
    laughs = b"a0: &a0 [lol]\n" + b"".join(
        b"a%d: &a%d [%s]\n" % (i, i, b",".join([b"*a%d" % (i - 1)] * 10)) for i in range(1, 30)
    )

    assert only_fault(laughs + b"---\nb: 1\n") == (reasons.ALIAS_EXPANSION, 6, 22)
    assert values(laughs + b"---\nb: 1\n") == [{"b": 1}]


def test_merge_keys_count_as_aliases() -> None:
    """Merging one large mapping repeatedly is refused, too."""
    large = b"a: &a {%s}\n" % b",".join(b"k%d: 1" % i for i in range(1000))
    text = large + b"".join(b"b%d: {<<: *a}\n" % i for i in range(200))

    assert [fault.reason for fault in faults(text)] == [reasons.ALIAS_EXPANSION]


def test_depth_counts_through_aliases() -> None:
    """A chain of aliases, each one level deeper, reaches the limit as brackets do."""
    text = b"a0: &a0 [x]\n" + b"".join(b"a%d: &a%d [*a%d]\n" % (i, i, i - 1) for i in range(1, 80))

    assert [fault.reason for fault in faults(text)] == [reasons.DOCUMENT_TOO_LARGE]


@pytest.mark.parametrize(
    ("limit", "text", "reason", "kept"),
    [
        ({"size": 10}, b"a: 1\n---\nb: 2\n", reasons.FILE_TOO_LARGE, 0),
        ({"documents": 2}, b"a: 1\n---\nb: 2\n---\nc: 3\n", reasons.FILE_TOO_LARGE, 2),
        ({"nodes": 8}, b"a: 1\n---\nb: 2\n---\nc: 3\n", reasons.FILE_TOO_LARGE, 2),
        ({"scalar": 5}, b"a: 123456\n---\nb: 2\n", reasons.DOCUMENT_TOO_LARGE, 1),
        ({"keys": 2}, b"a: 1\nb: 2\nc: 3\n---\nb: 2\n", reasons.DOCUMENT_TOO_LARGE, 1),
        ({"depth": 2}, b"a: [[1]]\n---\nb: [2]\n", reasons.DOCUMENT_TOO_LARGE, 1),
    ],
)
def test_each_limit_is_a_fault(limit: dict[str, int], text: bytes, reason: str, kept: int) -> None:
    """A document above a limit is reported; documents within it are read."""
    limits = dataclasses.replace(DEFAULT, **limit)

    assert [fault.reason for fault in faults(text, limits)] == [reason]
    assert len(values(text, limits)) == kept


def test_ten_thousand_documents_are_read() -> None:
    """A whole cluster in one file is allowed."""
    assert len(values(b"---\na: {b: [1, 2]}\n" * 10_000)) == 10_000


@given(st.binary(max_size=400))
def test_no_bytes_make_the_reader_raise(text: bytes) -> None:
    """Arbitrary bytes give documents and faults."""
    for found in parse(text):
        assert isinstance(found, Document | Fault)


@given(st.text(alphabet="ab:-[]{}&*!|>'\"#%@`, \n\t?~<.0y\r\x85\u2028\ufeff", max_size=120))
def test_no_yaml_makes_the_reader_raise(text: str) -> None:
    """Arbitrary text made of YAML's punctuation gives documents and faults, too."""
    for found in parse(text.encode()):
        assert isinstance(found, Document | Fault)
