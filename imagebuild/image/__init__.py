"""Converts a raw disk to the images of an artifact: in one read, on all processors, reproducibly."""
