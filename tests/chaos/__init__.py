"""Breaks every part of a running system under load, and counts what clients and Milvus saw of it."""
