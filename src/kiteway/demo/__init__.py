"""`kiteway demo`: the whole guide on this machine, on real parts."""
