"""
The typed values that Kiteway reports about itself; `kiteway.report.status.Status` is the whole.

The control plane builds them, `kiteway status`, the write-back to a cluster and the other commands read them, and
``--output json`` prints them (docs/reference/status.md). Names are camelCase in JSON, times are UTC (RFC 3339), and an
enumeration is its value. No secret is in any of them.
"""
