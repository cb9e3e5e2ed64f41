"""Milvus: the catalogue of its rpcs, an embedded server, and verification with PyMilvus."""
