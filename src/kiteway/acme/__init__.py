"""ManagedCertificates by ACME (RFC 8555): their certificates are issued, renewed and reported in GKE's status words."""
