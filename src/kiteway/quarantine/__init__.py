"""Quarantine: of a configuration that Envoy rejects, the units that are to blame are found and held back."""
