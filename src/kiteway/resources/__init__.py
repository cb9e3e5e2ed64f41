"""
What users write: Kubernetes objects, read strictly and with positions.

`load_documents` reads files, `load_object` what the Kubernetes API sends. Both return typed objects and diagnostics;
neither ever raises because of its input.
"""

# No `from __future__ import annotations` here: it would hide the module of that name.
from kiteway.resources.kinds import KINDS
from kiteway.resources.kinds.backend_config import BackendConfig
from kiteway.resources.kinds.endpoint_slice import EndpointSlice
from kiteway.resources.kinds.frontend_config import FrontendConfig
from kiteway.resources.kinds.ingress import Ingress
from kiteway.resources.kinds.ingress_class import IngressClass
from kiteway.resources.kinds.managed_certificate import ManagedCertificate
from kiteway.resources.kinds.milvus_policy import MilvusPolicy
from kiteway.resources.kinds.secret import Secret
from kiteway.resources.kinds.service import Service
from kiteway.resources.limits import DEFAULT, Limits
from kiteway.resources.load import Loaded, load_documents, load_object
from kiteway.resources.object import Object, ObjectMeta
from kiteway.resources.secret_bytes import SecretBytes

__all__ = [
    "DEFAULT",
    "KINDS",
    "BackendConfig",
    "EndpointSlice",
    "FrontendConfig",
    "Ingress",
    "IngressClass",
    "Limits",
    "Loaded",
    "ManagedCertificate",
    "MilvusPolicy",
    "Object",
    "ObjectMeta",
    "Secret",
    "SecretBytes",
    "Service",
    "load_documents",
    "load_object",
]
