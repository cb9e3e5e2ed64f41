"""Resources to a snapshot for Envoy: the stages between the sources and the ADS server, with the last value of each."""
