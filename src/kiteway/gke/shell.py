"""The command lines, made in one place, so that the commands shown are the commands run."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kiteway.gke.diff import dump
from kiteway.gke.live import Release
from kiteway.gke.options import GkeOptions
from kiteway.gke.step import Command

FIELD_MANAGER = "kiteway-gke"


@dataclass(frozen=True, slots=True)
class Shell:
    """
    The context and project for kubectl, helm and gcloud.

    Attributes:
        context: the kubeconfig context; empty for the current one.
        project: Google's project; empty for gcloud's own.
    """

    context: str = ""
    project: str = ""

    def kubectl(self, *arguments: str, stdin: Callable[[], bytes] | None = None, feed: str = "") -> Command:
        """Return a kubectl command."""
        context = ("--context", self.context) if self.context else ()
        return Command(("kubectl", *context, *arguments), stdin, feed)

    def helm(self, *arguments: str, stdin: Callable[[], bytes] | None = None, feed: str = "") -> Command:
        """Return a helm command."""
        context = ("--kube-context", self.context) if self.context else ()
        return Command(("helm", *context, *arguments), stdin, feed)

    def gcloud(self, *arguments: str) -> Command:
        """Return a gcloud command."""
        project = ("--project", self.project) if self.project else ()
        return Command(("gcloud", *project, *arguments, "--quiet"))

    def apply(self, objects: Sequence[Mapping[str, Any]]) -> Command:
        """Return the command that writes the objects' fields, also those that another manager owns."""
        feed = ", ".join(f"{item['kind']} {item['metadata']['name']}" for item in objects)
        return self.apply_made(lambda: list(objects), feed)

    def apply_made(self, make: Callable[[], Sequence[Mapping[str, Any]]], feed: str) -> Command:
        """Do `apply` for objects that are created only when it runs, such as keys."""
        return self.kubectl(
            "apply",
            "--server-side",
            f"--field-manager={FIELD_MANAGER}",
            "--force-conflicts",
            "-f",
            "-",
            stdin=lambda: "---\n".join(dump(item) for item in make()).encode(),
            feed=feed,
        )

    def replace(self, item: Mapping[str, Any]) -> Command:
        """Return the command that restores the earlier state of an object."""
        feed = f"{item['kind']} {item['metadata']['name']}, its earlier state"
        return self.kubectl("replace", "-f", "-", stdin=lambda: dump(item).encode(), feed=feed)

    def delete(self, kind: str, namespace: str, name: str) -> Command:
        """Return the command that deletes an object if it exists."""
        return self.kubectl("delete", kind.lower(), name, "-n", namespace, "--ignore-not-found")

    def patch(self, namespace: str, deployment: str, patch: Mapping[str, Any]) -> Command:
        """Return a strategic merge patch of a Deployment."""
        text = json.dumps(patch, separators=(",", ":"), sort_keys=True)
        return self.kubectl("patch", "deployment", deployment, "-n", namespace, "--type", "strategic", "--patch", text)

    def install(self, name: str, chart: str, namespace: str, values: Mapping[str, Any], *, create: bool) -> Command:
        """
        Return the command that brings Kiteway's own release to these values.

        Args:
            name: the name of the release.
            chart: the chart's reference or path.
            namespace: the namespace of the release.
            values: the values that are laid over those of the release.
            create: whether a missing namespace and missing CRDs are created.
        """
        made = ("--create-namespace",) if create else ("--skip-crds",)
        kept = ("--reset-then-reuse-values", "-f", "-")
        stdin = lambda: dump(dict(values)).encode()  # noqa: E731 - called when the command runs
        return self.helm(
            "upgrade", "--install", name, chart, "-n", namespace, *made, *kept, stdin=stdin, feed="Kiteway's values"
        )

    def upgrade(
        self, release: Release, wanted: GkeOptions, values: Mapping[str, Any], *, reset: bool = False
    ) -> Command:
        """
        Return the command for every change of a release: it preserves the chart's version and the user's values.

        Args:
            release: the live release.
            wanted: names the chart.
            values: laid over the release's own; with ``reset``, all of its own.
            reset: whether ``values`` are complete, and the release's own are dropped.
        """
        repo = ("--repo", wanted.repo) if wanted.repo else ()
        # A user's kubectl annotate owns those annotations; server-side apply would stop at the conflict.
        force = ("--force-conflicts",) if release.apply_method == "ssa" else ()
        return self.helm(
            "upgrade",
            release.name,
            wanted.chart,
            *repo,
            "--version",
            release.version,
            "-n",
            release.namespace,
            "--reset-values" if reset else "--reset-then-reuse-values",
            *force,
            "-f",
            "-",
            stdin=lambda: dump(dict(values)).encode(),
            feed="all the values" if reset else "the values that change",
        )
