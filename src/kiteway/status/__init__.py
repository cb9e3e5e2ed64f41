"""Builds, serves and reads the status of an instance, and writes it back to the objects."""
