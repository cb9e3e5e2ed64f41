"""What Kiteway says about itself: to `kiteway status`, and back to the objects."""
