"""Envoy: the xDS it is given, the process it runs in, and what it says back."""
