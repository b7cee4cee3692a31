"""What QEMU boots directly: kernels, and initial RAM file systems."""
