"""Named data sets: how to get each, its classes and its splits."""
