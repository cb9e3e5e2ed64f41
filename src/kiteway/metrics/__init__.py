"""What Prometheus scrapes: the control plane's own metrics and Envoy's, at one endpoint."""
