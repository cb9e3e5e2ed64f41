"""
The guide on GKE, planned, shown, applied and undone.

`Live` (what is there) and `Wanted` (what the user asks for) make a `Plan` of steps; a step knows from `Live` alone
whether it is done. So `apply` needs no state of its own: it reads, does the first thing that is not done, and waits
until a new reading says that it is. Only what was there before the first change is written down, in the cluster.
"""
