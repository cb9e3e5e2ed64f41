"""One tenant attacks, another one is measured: what is shared on a real Envoy holds, or is found not to."""
