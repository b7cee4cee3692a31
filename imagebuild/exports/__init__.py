"""An artifact in the formats of other platforms: OVA, Vagrant, containerDisk, Compute Engine, Azure."""
