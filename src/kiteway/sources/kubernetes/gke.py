"""Whether a cluster is GKE, where Ingresses without a class, and Google's classes, belong to Google's controller."""

from __future__ import annotations

from typing import Final

from kiteway.kubernetes.api import Api, ApiError
from kiteway.resources import Ingress, Object
from kiteway.resources import annotations as keys

_GKE_VERSION: Final = "-gke."
"""In the version of every GKE control plane: ``v1.33.5-gke.1162000``."""
_NEG_GROUP: Final = "/apis/networking.gke.io/v1beta1"
_NEG_RESOURCE: Final = "servicenetworkendpointgroups"
"""The CRD in which ingress-gce stores its NEGs; no other software installs it."""
_GOOGLE_CLASS: Final = "gce"


async def is_gke(api: Api) -> bool:
    """Ask the API server; every authenticated client may. Raises `ApiError`, `ApiUnavailableError`."""
    version = await api.get("/version")
    if _GKE_VERSION in str(version.get("gitVersion", "")):
        return True
    try:
        group = await api.get(_NEG_GROUP)
    except ApiError as error:
        if error.status == 404:
            return False
        raise
    return any(resource.get("name") == _NEG_RESOURCE for resource in group.get("resources") or ())


def belongs_elsewhere(object_: Object, *, gke: bool, classless: bool) -> bool:
    """
    Return whether an object is an Ingress that belongs to Google's controller.

    On GKE these are the Ingresses of Google's classes and, unless ``classless``, those without a class.
    """
    if not isinstance(object_, Ingress):
        return False
    named = object_.metadata.annotations.get(keys.INGRESS_CLASS) or object_.spec.ingress_class_name
    if named is None:
        return not classless
    return gke and (named == _GOOGLE_CLASS or named.startswith(f"{_GOOGLE_CLASS}-"))
