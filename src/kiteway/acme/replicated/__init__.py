"""What the replicas of a cluster share: certificates in Secrets, and challenges that all of them show."""
