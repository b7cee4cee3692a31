"""The recipe: the description of an image, as a YAML file and as a checked value."""
