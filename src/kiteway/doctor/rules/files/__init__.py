"""Rules about manifests and Milvus configuration."""
