"""No input makes the loader raise, and a good object is read beside a bad one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml
from hypothesis import given
from hypothesis import strategies as st

from kiteway.resources import Loaded, load_documents, load_object
from tests.support.examples import examples

FIXTURE = (Path(__file__).parent.parent / "fixtures" / "kubectl-get-milvus.yaml").read_bytes()
POLICY = (Path(__file__).parents[2] / "examples" / "milvuspolicy.yaml").read_bytes()
ITEMS = [*yaml.safe_load(FIXTURE)["items"], yaml.safe_load(POLICY)]

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["default", "10.0.0.1", "a.example.com", "\ud800", "\0", "9" * 400])
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def paths(value: Any, prefix: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Return the path of every value inside a value."""
    inside: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [prefix, *(path for key, item in inside for path in paths(item, (*prefix, key)))]


@st.composite
def mutated(draw: st.DrawFn, objects: st.SearchStrategy[dict[str, Any]]) -> dict[str, Any]:
    """Return an object with a few values replaced, removed or renamed."""
    item: dict[str, Any] = json.loads(json.dumps(draw(objects)))
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from([p for p in paths(item) if p]))
        parent: Any = item
        for step in path[:-1]:
            parent = parent[step]
        match draw(st.sampled_from(["replace", "remove", "rename"])):
            case "remove":
                del parent[path[-1]]
            case "rename" if isinstance(parent, dict):
                parent[draw(st.text(max_size=12))] = parent.pop(path[-1])
            case _:
                parent[path[-1]] = draw(VALUES)
    return item


def check(loaded: Loaded) -> None:
    """Check what holds for every result."""
    for diagnostic in loaded.diagnostics:
        assert str(diagnostic).isprintable()
    repr(loaded)


@given(mutated(st.sampled_from(ITEMS)))
@examples(300)
def test_no_object_makes_the_loader_raise(raw: dict[str, Any]) -> None:
    """A real object with arbitrary changes is an object, or refused with an error, or ignored with a note."""
    loaded = load_object(raw)

    check(loaded)
    assert loaded.objects or loaded.diagnostics or raw.get("kind") == "List"


@given(st.data())
@examples(150)
def test_no_file_makes_the_loader_raise(data: st.DataObject) -> None:
    """A real file with bytes cut out and put in is read or explained."""
    text = bytearray(FIXTURE)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(text)))
        text[at : at + data.draw(st.integers(0, 30))] = data.draw(
            st.binary(max_size=6) | st.sampled_from([b"\n---\n", b"\t", b": ", b"- ", b"{", b"*a", b"&a "])
        )

    loaded = load_documents(bytes(text), "f.yaml")

    check(loaded)
    assert loaded.objects or loaded.diagnostics


@given(st.lists(st.binary(max_size=60), max_size=3))
def test_good_objects_stay_good_beside_bad_bytes(junk: list[bytes]) -> None:
    """Whatever stands in the other documents of a file, the good one is loaded unchanged."""
    good = b"\n---\n{apiVersion: v1, kind: Service, metadata: {name: good, namespace: good}, spec: {ports: [{port: 80}]}}\n---\n"
    [expected] = load_documents(good, "f.yaml").objects

    loaded = load_documents(b"".join(part + good for part in [b"", *junk]), "f.yaml")

    assert [o for o in loaded.objects if o.metadata.name == "good"] == [expected] * (len(junk) + 1)
