"""The sources of resources: files and the Kubernetes API."""
