"""What is in an image, as values: inventories, their files, and how two of them differ. Pure."""
