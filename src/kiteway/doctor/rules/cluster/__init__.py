"""Rules about a live cluster."""
