"""What QEMU starts directly: a kernel out of the image that distributions ship, and archives that it unpacks as its first root."""
