"""Which objects of a namespace a diagnosis of one release looks at."""

from __future__ import annotations

from typing import Any

from kiteway.doctor.cluster.focus import INSTANCE_LABEL, focus
from kiteway.resources import Object, load_object
from tests.support.manifests import Manifest, ingress, milvus_policy, path, rule, service


def _of(release: str, manifest: Manifest) -> dict[str, Any]:
    return {**manifest, "metadata": {**manifest["metadata"], "labels": {INSTANCE_LABEL: release}}}


def test_a_policy_belongs_to_the_release_of_all_its_targets() -> None:
    """One that is also about another release's Service would be judged without that Service."""
    manifests = [
        _of("mine", service("milvus")),
        _of("theirs", service("other")),
        ingress(rule("a.example.com", path("/", "milvus")), name="mine"),
        milvus_policy("milvus", name="of-service"),
        milvus_policy(name="of-ingress", ingresses=["mine"]),
        milvus_policy("mivlus", name="misspelt"),
        milvus_policy("other", name="of-theirs"),
        milvus_policy("milvus", "other", name="of-both"),
    ]
    objects: list[Object] = [found for manifest in manifests for found in load_object(dict(manifest)).objects]

    kept = {found.name for found in focus(objects, "mine").refs if found.kind == "MilvusPolicy"}
    assert kept == {"of-service", "of-ingress", "misspelt"}
