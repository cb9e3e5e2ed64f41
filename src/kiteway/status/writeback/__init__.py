"""Writes the status that GKE would write to the objects of a cluster, from the one replica that holds the Lease."""
