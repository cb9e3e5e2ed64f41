"""The watched kinds, and their paths at the API server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from kiteway.kubernetes.paths import collection
from kiteway.resources import (
    BackendConfig,
    EndpointSlice,
    FrontendConfig,
    Ingress,
    IngressClass,
    ManagedCertificate,
    MilvusPolicy,
    Object,
    Secret,
    Service,
)
from kiteway.resources.kinds.secret import TLS_SECRET


@dataclass(frozen=True, slots=True)
class WatchedKind:
    """
    A kind as the API server serves it.

    Attributes:
        cls: the class that reads it.
        plural: the collection's name.
        custom: whether a cluster may be without it (a CRD).
        selector: a field selector; the API server does not send objects that do not match.
        bucket: the name in the store, if other than the kind.
    """

    cls: type[Object]
    plural: str
    custom: bool = False
    selector: str = ""
    bucket: str = ""

    @property
    def api_version(self) -> str:
        """The API version that is requested."""
        return self.cls.API_VERSIONS[0]

    def collection(self, namespace: str) -> str:
        """Return the path of the collection: of one namespace, or of all when it is empty."""
        return collection(self.api_version, self.plural, namespace if self.cls.NAMESPACED else "")


WATCHED: Final = (
    WatchedKind(Ingress, "ingresses"),
    WatchedKind(IngressClass, "ingressclasses"),
    WatchedKind(Service, "services"),
    WatchedKind(EndpointSlice, "endpointslices"),
    # TLS Secrets only: no other Secret of the cluster is ever in Kiteway's memory.
    WatchedKind(Secret, "secrets", selector=f"type={TLS_SECRET}"),
    WatchedKind(BackendConfig, "backendconfigs", custom=True),
    WatchedKind(FrontendConfig, "frontendconfigs", custom=True),
    WatchedKind(ManagedCertificate, "managedcertificates", custom=True),
    WatchedKind(MilvusPolicy, "milvuspolicies", custom=True),
)
