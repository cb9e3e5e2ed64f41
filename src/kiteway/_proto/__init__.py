"""xDS messages, generated from the Envoy binary by ``tools/generate_protos.py``. Do not edit."""
