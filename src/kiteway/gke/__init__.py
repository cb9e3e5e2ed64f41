"""
Plans, applies and undoes the guide on GKE.

`ClusterReading` (the present state) and `GkeOptions` (the user's options) make a `Plan` of steps; a step decides from `ClusterReading` alone
whether it is done. So `apply` needs no state of its own: it reads the cluster, does the first step that is not done, and
waits until a new reading shows that it is. Only the state before the first change is recorded, in the cluster.
"""
