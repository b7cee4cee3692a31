"""The machine for libvirt: the domain definition of an image, and options for virt-install."""
