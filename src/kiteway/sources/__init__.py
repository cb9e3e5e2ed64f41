"""Where resources come from: files, the Kubernetes API."""
