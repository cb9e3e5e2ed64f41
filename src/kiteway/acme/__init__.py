"""ManagedCertificates answered by ACME (RFC 8555): issued, renewed and reported in GKE's words."""
