"""Software bills of materials: what an inventory says about an image, as CycloneDX and SPDX."""
