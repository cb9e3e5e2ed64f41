"""One connection to a Kubernetes API server: requests, a followed collection, a Lease, and pauses between attempts."""
