"""The rules, one a file, in the folder of what they look at."""
