"""The control plane process: from the sources to Envoy, and what it tells about it."""
