"""What libguestfs starts in place of QEMU: a program of its own."""
