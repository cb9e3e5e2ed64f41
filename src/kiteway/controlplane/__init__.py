"""The control plane process: from the sources to Envoy, and the status."""
