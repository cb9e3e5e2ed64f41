"""A client of the Kubernetes API server: requests, watched collections, a Lease, and back-off."""
