"""Converts a raw disk to an artifact's images: in one read, on all processors, reproducibly."""
