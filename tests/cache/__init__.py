"""The model of the cache (docs/design/cache.md): a model of Milvus, the conditions, and what a read may see."""
