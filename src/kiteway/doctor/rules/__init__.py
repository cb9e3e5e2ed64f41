"""The rules, one in each file, in the folder of their scope."""
