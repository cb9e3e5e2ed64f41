"""`kiteway demo`: the whole guide on this machine, with a real Milvus and Envoy."""
