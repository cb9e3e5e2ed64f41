"""Quarantine: finds the units for which Envoy rejects a configuration, and holds them back."""
