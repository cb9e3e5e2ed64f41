"""Rules about a live address."""
