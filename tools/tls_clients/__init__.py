"""Real TLS clients against a real balancer, for docs/reference/tls-clients.md."""
