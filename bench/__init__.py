"""Measurements of Kiteway side by side with other balancers: one file a bench, listed in `bench.registry`."""
