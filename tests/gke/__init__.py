"""``kiteway gke`` on a real API server, with real helm and kubectl."""
