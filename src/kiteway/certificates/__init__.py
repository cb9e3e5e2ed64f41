"""X.509 certificates: reading, names, chains, weaknesses, and making self-signed ones."""
