"""Attacks by one tenant on another, on a real Envoy; the other tenant is measured meanwhile."""
