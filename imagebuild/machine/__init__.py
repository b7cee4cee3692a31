"""The machine for libvirt: the domain definition of an image, and the options for virt-install."""
