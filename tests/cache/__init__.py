"""The model of the cache (docs/design/cache.md): Milvus as it is assumed, the conditions, and what a read may see."""
