"""What Kiteway writes to a cluster: the status that GKE would write, by the one replica that holds the Lease."""
