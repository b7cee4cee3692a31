"""The machine as libvirt sees it: the domain definition that accompanies an image, and what both it and virt-install need."""
