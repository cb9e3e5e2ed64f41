"""Rules about this machine."""
