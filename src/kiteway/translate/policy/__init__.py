"""MilvusPolicies: what each is attached to, and what they mean together for a route."""
