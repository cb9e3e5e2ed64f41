"""Code for every front end: units and how they are merged, claims, pools, certificates, limits."""
