"""
Build the image with Docker or Podman, and write its bill of materials.

deploy/Dockerfile names its bases by release and by digest: a tag of a registry can be moved, a digest cannot. ``--update`` asks the
registry for the digests that the releases have now, with the security updates since, and writes them into the Dockerfile. The
image's labels name its base, the version and the commit.

Usage: ``python -m tools.image [--tag REPOSITORY:TAG] [--update]``
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from kiteway import __version__
from tools import sbom

ROOT = Path(__file__).resolve().parent.parent
DOCKERFILE = ROOT / "deploy/Dockerfile"
_FROM = re.compile(r"^FROM ([^\s@]+)@(sha256:[0-9a-f]{64})", re.MULTILINE)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_ENGINES = ("docker", "podman")


class ImageError(Exception):
    """The image cannot be built; the message says why and what to do."""


def engine() -> str:
    """
    Return the program that builds images here.

    Raises:
        ImageError: there is none that works.
    """
    for name in _ENGINES:
        found = shutil.which(name)
        if found and subprocess.run([found, "info"], capture_output=True, check=False).returncode == 0:
            return found
    raise ImageError(
        f"neither {' nor '.join(_ENGINES)} works on this machine. Build elsewhere; tests/e2e/test_image.py runs the steps of "
        "the image without an engine."
    )


def bases() -> dict[str, str]:
    """Return the digest of each base that the Dockerfile names, the image's own last."""
    return dict(_FROM.findall(DOCKERFILE.read_text()))


def digests(program: str, names: Iterable[str]) -> dict[str, str]:
    """
    Return the digest of each base, from its registry.

    Raises:
        ImageError: the registry does not give one.
    """
    found = {}
    for name in names:
        for command in (["pull", "--quiet", name], ["image", "inspect", "--format", "{{json .RepoDigests}}", name]):
            done = subprocess.run([program, *command], capture_output=True, text=True, check=False)
            if done.returncode != 0:
                raise ImageError(f"{name} cannot be had: {done.stderr.strip()}")
        digest = _DIGEST.search(done.stdout)
        if digest is None:
            raise ImageError(f"{name} has no digest of a registry: {done.stdout.strip()}")
        found[name] = digest[0]
    return found


def pinned(text: str, found: Mapping[str, str]) -> str:
    """Return a Dockerfile with other digests of its bases."""
    return _FROM.sub(lambda match: f"FROM {match[1]}@{found[match[1]]}", text)


def build(program: str, tag: str, revision: str) -> None:
    """
    Build the image.

    Raises:
        ImageError: a step of the Dockerfile failed.
    """
    base, digest = list(bases().items())[-1]
    labels = {
        "org.opencontainers.image.title": "kiteway",
        "org.opencontainers.image.version": __version__,
        "org.opencontainers.image.revision": revision,
        "org.opencontainers.image.licenses": sbom.LICENCE,
        "org.opencontainers.image.base.name": base,
        "org.opencontainers.image.base.digest": digest,
    }
    command = [program, "build", "--file", str(DOCKERFILE), "--tag", tag]
    command += [part for key, value in labels.items() for part in ("--label", f"{key}={value}")]
    if subprocess.run([*command, str(ROOT)], check=False).returncode != 0:
        raise ImageError("a step of deploy/Dockerfile has failed; its output is above")


def _commit() -> str:
    git = shutil.which("git") or "git"
    done = subprocess.run([git, "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def main(arguments: list[str]) -> int:
    """Build the image, and write its bill."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tag", default=f"kiteway:{__version__}", help="(default: kiteway:VERSION)")
    parser.add_argument(
        "--update", action="store_true", help="first write the bases' newest digests into the Dockerfile"
    )
    given = parser.parse_args(arguments)
    dist = ROOT / "dist"
    try:
        program = engine()
        if given.update:
            found = digests(program, bases())
            DOCKERFILE.write_text(pinned(DOCKERFILE.read_text(), found))
        build(program, given.tag, _commit())
    except ImageError as error:
        print(error, file=sys.stderr)
        return 2
    dist.mkdir(exist_ok=True)
    document = sbom.bill(image=True)
    (dist / f"kiteway-image-{__version__}.cdx.json").write_text(sbom.text(document))
    print(f"{given.tag}, and its bill of materials in {dist}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
