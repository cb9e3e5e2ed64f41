"""Measurements of Kiteway side by side with other balancers."""
