"""Kiteway on a real Kubernetes API server; only nodes and pods are simulated."""
