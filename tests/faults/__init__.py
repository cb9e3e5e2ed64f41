"""The faults of a first hour: what each client and each command says of them."""
