"""Kiteway in front of Milvus Lite: what clients of Milvus 3 send, before an engine that has a part of it."""
