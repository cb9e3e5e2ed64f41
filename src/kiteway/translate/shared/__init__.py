"""What every front end uses: units and how they are merged, claims, pools, certificates, limits."""
