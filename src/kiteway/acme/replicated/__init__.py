"""State that the replicas of a cluster share: certificates in Secrets, and challenges that every replica shows."""
