"""States to small NumPy arrays to draw: the only door from torch to the screen, one file a method."""
