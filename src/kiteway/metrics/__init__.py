"""The metrics endpoint for Prometheus: the control plane's own metrics and Envoy's."""
