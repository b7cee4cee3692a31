"""What QEMU boots directly: a kernel extracted from a distribution's image, and initial RAM file
systems.
"""
