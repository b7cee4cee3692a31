"""imagebuild: golden images for KVM, from a recipe to a compressed qcow2."""

__version__ = "0.1.0"
