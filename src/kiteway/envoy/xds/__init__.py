"""The model said in Envoy's words: one file a resource type, pure functions."""
