"""The kinds that Kiteway reads. One file a kind."""

from __future__ import annotations

from kiteway.resources.kinds.backend_config import BackendConfig
from kiteway.resources.kinds.endpoint_slice import EndpointSlice
from kiteway.resources.kinds.endpoints import Endpoints
from kiteway.resources.kinds.frontend_config import FrontendConfig
from kiteway.resources.kinds.ingress import Ingress
from kiteway.resources.kinds.ingress_class import IngressClass
from kiteway.resources.kinds.managed_certificate import ManagedCertificate
from kiteway.resources.kinds.milvus_policy import MilvusPolicy
from kiteway.resources.kinds.secret import Secret
from kiteway.resources.kinds.service import Service
from kiteway.resources.object import Object

KINDS: dict[str, type[Object]] = {
    cls.KIND: cls
    for cls in (
        Ingress,
        IngressClass,
        Service,
        EndpointSlice,
        Endpoints,
        Secret,
        BackendConfig,
        FrontendConfig,
        ManagedCertificate,
        MilvusPolicy,
    )
}
"""Every kind by its name."""
