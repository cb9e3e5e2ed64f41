"""Measurements of Kiteway beside other balancers: one file for each bench, listed in `bench.registry`."""
