"""Kiteway: the Layer-7 load balancer for Milvus."""

__version__ = "0.3.0"
