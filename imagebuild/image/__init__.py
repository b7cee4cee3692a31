"""From a raw disk to the images of an artifact: one read, all processors, the same bytes every time."""
