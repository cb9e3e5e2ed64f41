"""The front end for Ingresses with GKE's annotations, FrontendConfigs and ManagedCertificates."""
