"""Certificates: made, read, issued, stored and renewed."""
