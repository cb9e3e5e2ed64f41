"""What Kiteway writes to a cluster: the status GKE would have written, by the one replica that holds the Lease."""
