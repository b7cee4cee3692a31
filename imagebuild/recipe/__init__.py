"""The recipe: what image is wanted, as a YAML file and as a checked value."""
