"""Makes xDS messages from the model, in pure functions: one file for each resource type."""
